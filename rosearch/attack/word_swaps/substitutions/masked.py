"""Replacements proposed by a masked language model."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

from rosearch.attack.resources.masked_lm import MaskedLM, Method
from rosearch.attack.resources.oracles import Ask, Asking
from rosearch.attack.text import Words
from rosearch.attack.word_swaps.substitutions.base import Substitution
from rosearch.checks import choice, share

MAX_COMBINATIONS = 1 << 16
"""Maximum number of combinations of pieces that are tried for one word."""

_LETTER = re.compile("[a-zA-Z]")


class MaskedWords(Substitution):
    """The most likely words in the place of a word, by a masked language model.

    There are two methods, both like TextAttack's ``WordSwapMaskedLM``:

    ``"bae"`` (Garg and Ramakrishnan 2020, algorithm 1): the word is masked, and the ``count`` most
    likely single words are taken. Words without a letter a-z are dropped. A word that two
    vocabulary entries decode to is proposed twice, and counts twice among the queries.

    ``"bert-attack"`` (Li et al. 2020, section 3.2): nothing is masked. The ``count`` most likely
    tokens are taken at each piece of the word: whole words only if the word is a single piece,
    otherwise the combinations of pieces. The paper ranks combinations by perplexity; TextAttack
    computes it but then takes the first in product order, and so does this. Three differences from
    TextAttack: at most 65,536 combinations are tried, where it tries all; a token that is nothing
    but a word-boundary mark is no replacement, where it deletes the word; and positions past the
    end of the text are skipped, which it reads where a byte-level tokenizer splits the word alone
    into more pieces than in context.

    The model reads the attacked side only. A word that is truncated away has no replacements.

    Args:
        model: A :class:`~rosearch.attack.resources.masked_lm.MaskedLM`, or the first argument of
            one. Default: ``bert-base-uncased``.
        method: ``"bae"`` or ``"bert-attack"``.
        count: Maximum number of replacements. A ``MaskedLM`` has its own count.
        min_confidence: Minimum probability of a word, for ``"bae"``.

    Raises:
        MissingResourceError: The model is not available.
        ArgumentError: A setting is out of range.
    """

    name = "masked-words"

    def __init__(
        self,
        model: Any = None,
        *,
        method: Method = "bae",
        count: int = 50,
        min_confidence: float = 5e-4,
    ) -> None:
        self.method = choice("method", method, ("bae", "bert-attack"))
        self.min_confidence = share("min_confidence", min_confidence)
        self.masked_lm = model if isinstance(model, MaskedLM) else MaskedLM(model, count=count)

    def propose_in(
        self, text: Words, index: int, numbers: Sequence[float] = ()
    ) -> Asking[Sequence[str]]:
        word = text.pieces[2 * index + 1]
        masked = text.replace(index, self.masked_lm.tokenizer.mask_token).text
        if self.method == "bae":
            (answer,) = yield Ask(self.masked_lm, [("mask", masked)])
            return [
                new
                for new, chance in answer
                if chance >= self.min_confidence
                and new != word
                and _LETTER.search(new)
                and len(Words.of(new)) == 1
            ]
        span = self._span(word, masked)
        if not span:
            return ()
        (places,) = yield Ask(self.masked_lm, [("places", text.text)])
        choices = [places[i] for i in span if i < len(places)]
        if not choices:
            return ()
        found = self._whole_words(choices, index) if len(span) == 1 else self._joined(choices)
        plain = [self.masked_lm.plain(raw) for raw in found]
        return [new for new in plain if new and new != word]

    def _span(self, word: str, masked: str) -> range:
        """Positions of the word's pieces among the tokens of the text."""
        lm = self.masked_lm
        ids = lm.tokenizer(masked, truncation=True, max_length=lm.max_length)["input_ids"]
        if lm.tokenizer.mask_token_id not in ids:
            return range(0)
        start = ids.index(lm.tokenizer.mask_token_id)
        pieces = lm.tokenizer(word, add_special_tokens=False)["input_ids"]
        return range(start, min(start + len(pieces), lm.max_length))

    def _whole_words(self, choices: Sequence[Sequence[int]], index: int) -> list[str]:
        tokens = [self.masked_lm.tokenizer.convert_ids_to_tokens(i) for i in choices[0]]
        return [
            token
            for token in tokens
            if len(Words.of(token)) == 1
            and not self.masked_lm.within_word(token, starting=index == 0)
        ]

    def _joined(self, choices: Sequence[Sequence[int]]) -> list[str]:
        pieces = [self.masked_lm.tokenizer.convert_ids_to_tokens(list(c)) for c in choices]
        found: list[str] = []
        for combination in itertools.islice(itertools.product(*pieces), MAX_COMBINATIONS):
            new = "".join(combination).replace("##", "")
            if len(Words.of(new)) == 1:
                found.append(new)
                if len(found) == self.masked_lm.count:
                    break
        return found
