"""The replacements of words that attacks choose from, as token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rosearch.attack.resources.oracles import Asking
from rosearch.attack.settings import Part
from rosearch.attack.text import AttackedInput
from rosearch.attack.training.slots import ReadText, RowSlots, RowTokenizer, flattened
from rosearch.attack.training.sources import Source, WordSources, answered
from rosearch.attack.training.word_lookup import WordLookup
from rosearch.checks import choice, whole_number
from rosearch.data import TextDataset
from rosearch.seeding import generator
from rosearch.tokens import WordChoices

_TEXTS_AT_ONCE = 128
"""Texts whose changed parts are tokenized together."""


class WordReplacements(Part):
    """The replacements that attacks choose from, for ``WordPerturbation``.

    Each replacement by itself satisfies the constraints of its attack. Random replacements, such as
    character edits, are drawn once per text.

    Args:
        sources: Attacks, their names, or substitutions; the replacements of all are combined.
        max_replacements: Maximum replacements per word; of more, so many are drawn.
        attacked_side: Which text of a pair is perturbed: 0 the first, 1 the second.
        seed: Seed of all draws.

    Raises:
        ArgumentError: A source is not a source, or another argument is out of range.
        MissingResourceError: A source needs a resource that is not available.
        RegistryError: An attack is not registered.
    """

    name = "word-replacements"

    def __init__(
        self,
        sources: Source | Sequence[Source],
        *,
        max_replacements: int = 50,
        attacked_side: int = 1,
        seed: int = 0,
    ) -> None:
        self.sources = WordSources(sources)
        self.max_replacements = whole_number("max_replacements", max_replacements)
        self.attacked_side = choice("attacked_side", attacked_side, (0, 1))
        self.seed = whole_number("seed", seed, None)

    @property
    def is_told_by_settings(self) -> bool:
        """Whether equal settings give equal replacements, which may then be cached.

        Not where a part comes from outside of rosearch: its settings say nothing of its code.
        """
        return self.sources.are_own

    def choices(self, dataset: TextDataset, tokenizer: Any, *, max_length: int) -> WordChoices:
        """Return the replacements of all words that truncation leaves.

        Args:
            dataset: The texts.
            tokenizer: Their tokenizer.
            max_length: Maximum tokens of a text.
        """
        tokens = RowTokenizer(tokenizer, max_length=max_length)
        inputs = [AttackedInput(text, self.attacked_side) for text in dataset.texts]
        self.sources.prepare(inputs)
        lookups = [WordLookup.of(swaps) for swaps in self.sources.swaps]
        slots: list[RowSlots] = []
        for start in range(0, len(inputs), _TEXTS_AT_ONCE):
            texts = tokens.read(inputs[start : start + _TEXTS_AT_ONCE])
            found = answered(self._replacements(text, lookups) for text in texts)
            slots += tokens.slots(texts, list(found))
        return flattened(slots, cuts_left=tokens.cuts_left)

    def _replacements(
        self, text: ReadText, lookups: Sequence[WordLookup | None]
    ) -> Asking[list[list[str]]]:
        """Return what may stand in place of each visible word."""
        one, words = text.whole, text.whole.words
        starts = self.sources.start(one, seed=self.seed, purpose="replacements")
        rng = generator(self.seed, "replacements", one.key)
        spans, whole = words.spans, words.text
        found: list[list[str]] = []
        for index in text.visible:
            start, end = spans[index]
            options: list[str] = []
            for swaps, lookup in zip(starts, lookups, strict=True):
                if lookup is None:
                    candidates = yield from swaps.candidates(words, index)
                    after = len(whole) - end
                    texts = map(str, candidates.texts)
                    options += [other[start : len(other) - after] for other in texts]
                else:
                    allowed = yield from lookup(whole[start:end], swaps.random_numbers(index))
                    # In the order of the whole texts, as in attacks.
                    options += sorted(allowed, key=lambda new: new + whole[end:])
            if len(options) > self.max_replacements:
                chosen = rng.choice(len(options), size=self.max_replacements, replace=False)
                options = [options[i] for i in np.sort(chosen)]
            found.append(options)
        return found
