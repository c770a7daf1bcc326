"""Words that a masked language model puts in a word's place."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any

from rosearch.attack.resources.masked_lm import MaskedLM, Method
from rosearch.attack.resources.oracles import Ask, Asking
from rosearch.attack.settings import check_number
from rosearch.attack.text import Words
from rosearch.attack.word_swaps.substitutions.base import Substitution
from rosearch.errors import DataError

MOST_COMBINATIONS = 1 << 16
"""Combinations of pieces that are looked at for one word."""

_LETTER = re.compile("[a-zA-Z]")


class MaskedWords(Substitution):
    """The likeliest words in a word's place, by a masked language model.

    Two methods, each as TextAttack's ``WordSwapMaskedLM`` has it:

    ``"bae"`` (Garg and Ramakrishnan 2020, algorithm 1): the word is masked, and the ``count``
    likeliest single words are taken. Words without a letter of a-z are left out. A word that
    two pieces of the vocabulary give is proposed twice, and counted twice among the queries.

    ``"bert-attack"`` (Li et al. 2020, section 3.2): nothing is masked. The ``count`` likeliest
    tokens are taken at each piece of the word; for a word of one piece those that are whole
    words, for one of several pieces their combinations. The paper ranks combinations by perplexity;
    TextAttack computes it and then takes the first in the order of the product, and so
    does this. At most 65,536 combinations are looked at, where TextAttack goes through all. A token
    of nothing but the mark of a new word is no replacement, where TextAttack deletes the word.
    Places behind the end of the text, which TextAttack reads where a byte-level tokenizer cuts the
    word alone into more pieces than among others, are left out.

    The text is the attacked side alone. Where a place is cut off, nothing is proposed.

    Args:
        model: A :class:`~rosearch.attack.resources.masked_lm.MaskedLM`, or what makes one. Default:
            ``bert-base-uncased``.
        method: ``"bae"`` or ``"bert-attack"``.
        count: Most replacements. Of a given ``MaskedLM``: its own count.
        min_confidence: Least probability of a word, for ``"bae"``.

    Raises:
        MissingResourceError: The model is not on this machine.
        DataError: A setting is out of range.
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
        if method not in ("bae", "bert-attack"):
            raise DataError(f"method is 'bae' or 'bert-attack', got {method!r:.80}.")
        self.method = method
        self.min_confidence = check_number("min_confidence", min_confidence, least=0, most=1)
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
        """Where the word's pieces stand among the text's tokens."""
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
        for combination in itertools.islice(itertools.product(*pieces), MOST_COMBINATIONS):
            new = "".join(combination).replace("##", "")
            if len(Words.of(new)) == 1:
                found.append(new)
                if len(found) == self.masked_lm.count:
                    break
        return found
