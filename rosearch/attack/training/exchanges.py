"""The exchanges of words that attacks choose from, for encodings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache

import numpy as np

from rosearch.attack.resources.oracles import Asking
from rosearch.attack.settings import Part
from rosearch.attack.text import AttackedInput, Words
from rosearch.attack.training.sources import Source, WordSources, answered
from rosearch.attack.word_swaps.candidates import TextSwaps, WordSwaps
from rosearch.attack.word_swaps.constraints import Constraint
from rosearch.attack.word_swaps.substitutions import Substitution
from rosearch.checks import refused, whole_number
from rosearch.data import Text
from rosearch.seeding import generator
from rosearch.words import words_of

_Pair = tuple[str, str]


class WordExchanges(Part):
    """The exchanges of words that attacks choose from, for ``Encoding.fit(exchanges=...)``.

    Each replacement by itself satisfies the constraints of its attack. Replacements of several
    words are left out. Where neither the substitution nor a constraint reads the context, each
    distinct word is looked up once; otherwise every word of every text, which for models such as a
    masked language model takes long the first time (their answers are cached).

    Args:
        sources: Attacks, their names, or substitutions; the exchanges of all are combined.
        max_texts: Maximum number of texts to read; of more, so many are drawn, and their counts
            scaled up to all. Default: all.
        seed: Seed of this draw.

    Raises:
        ArgumentError: A source is not a source or draws replacements at random, such as character
            edits, or another argument is out of range.
        MissingResourceError: A source needs a resource that is not available.
        RegistryError: An attack is not registered.
    """

    name = "word-exchanges"

    def __init__(
        self, sources: Source | Sequence[Source], *, max_texts: int | None = None, seed: int = 0
    ) -> None:
        self.sources = WordSources(sources)
        for swaps in self.sources.swaps:
            if swaps.substitution.draws:
                raise refused(
                    "each of sources",
                    "a source that always proposes the same replacements of a word (use the "
                    "encoding spelling for character edits)",
                    swaps.substitution,
                )
        self.max_texts = None if max_texts is None else whole_number("max_texts", max_texts)
        self.seed = whole_number("seed", seed, None)

    def count(self, texts: Sequence[Text]) -> Mapping[_Pair, float]:
        """Return how often each exchange is possible in ``texts``, in both texts of a pair.

        Returns:
            By lower-case word and lower-case replacement, the number of the word's occurrences
            where at least one source may replace it.
        """
        total = len(texts)
        if self.max_texts is not None and total > self.max_texts:
            rng = generator(self.seed, "exchanges")
            chosen = np.sort(rng.choice(total, size=self.max_texts, replace=False))
            texts = [texts[i] for i in chosen]
        inputs = [
            AttackedInput(text, side)
            for text in texts
            for side in range(1 if isinstance(text, str) else 2)
        ]
        self.sources.prepare(inputs)
        # Proposals without context, remembered while the texts are read.
        lookups = [_lookup(swaps) for swaps in self.sources.swaps]
        counts: Counter[_Pair] = Counter()
        for found in answered(self._exchanges(one, lookups) for one in inputs):
            counts.update(found)
        return {pair: count * total / len(texts) for pair, count in counts.items()}

    def _exchanges(
        self, one: AttackedInput, lookups: Sequence[Callable[[str], frozenset[str]] | None]
    ) -> Asking[list[_Pair]]:
        """Return the exchanges of a text, once for each occurrence of a word."""
        words = one.words
        starts = self.sources.start(one, seed=self.seed, purpose="exchanges")
        found: list[_Pair] = []
        for index, word in enumerate(words.words):
            new: set[str] = set()
            for swaps, lookup in zip(starts, lookups, strict=True):
                if index not in swaps.indices:
                    continue
                if lookup is None:
                    new |= yield from _allowed(swaps, words, index)
                else:
                    new |= lookup(word)
            lower = word.lower()
            found += [(lower, other) for other in new if other != lower]
        return found


def _allowed(swaps: TextSwaps, words: Words, index: int) -> Asking[frozenset[str]]:
    candidates = yield from swaps.candidates(words, index)
    return _single_words(
        text.pieces[2 * index + 1] for text in candidates.texts if len(text) == len(words)
    )


def _lookup(swaps: WordSwaps) -> Callable[[str], frozenset[str]] | None:
    """Return the replacements as a function of the word; ``None`` if the context matters."""
    substitution = swaps.substitution
    if type(substitution).propose_in is not Substitution.propose_in or any(
        type(constraint).examine is not Constraint.examine
        or type(constraint).allows_text is not Constraint.allows_text
        for constraint in swaps.constraints
    ):
        return None
    return cache(lambda word: _single_words(substitution.propose(word)))


def _single_words(replacements: Iterable[str]) -> frozenset[str]:
    parts = map(words_of, replacements)
    return frozenset(part[0].lower() for part in parts if len(part) == 1)
