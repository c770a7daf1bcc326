"""The replacements of words that attacks choose from, as token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import compress
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
        max_texts: Maximum number of texts in which words have replacements, to look up fewer; of
            more texts, so many are drawn. Default: all.
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
        max_texts: int | None = None,
        attacked_side: int = 1,
        seed: int = 0,
    ) -> None:
        self.sources = WordSources(sources)
        self.max_replacements = whole_number("max_replacements", max_replacements)
        self.max_texts = None if max_texts is None else whole_number("max_texts", max_texts)
        self.attacked_side = choice("attacked_side", attacked_side, (0, 1))
        self.seed = whole_number("seed", seed, None)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Sources and parameters, as JSON."""
        values = dict(super().settings)
        if self.max_texts is None:
            del values["max_texts"]  # which studies begun before it do not have
        return values

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
        chosen = self._chosen(inputs)
        self.sources.prepare(list(compress(inputs, chosen)))
        lookups = [WordLookup.of(swaps) for swaps in self.sources.swaps]
        slots: list[RowSlots] = []
        for start in range(0, len(inputs), _TEXTS_AT_ONCE):
            texts = tokens.read(inputs[start : start + _TEXTS_AT_ONCE])
            of_these = chosen[start : start + _TEXTS_AT_ONCE]
            found = answered(
                self._replacements(text, lookups) if is_chosen else _none(text)
                for text, is_chosen in zip(texts, of_these, strict=True)
            )
            slots += tokens.slots(texts, list(found))
        return flattened(slots, cuts_left=tokens.cuts_left)

    def _chosen(self, inputs: Sequence[AttackedInput]) -> np.ndarray:
        """Return in which texts words have replacements, bool ``(texts,)``."""
        if self.max_texts is None or len(inputs) <= self.max_texts:
            return np.ones(len(inputs), dtype=bool)
        rng = generator(self.seed, "replaced texts")
        chosen = np.zeros(len(inputs), dtype=bool)
        chosen[rng.choice(len(inputs), size=self.max_texts, replace=False)] = True
        return chosen

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


def _none(text: ReadText) -> Asking[list[list[str]]]:
    """Return no replacement of any visible word."""
    yield from ()
    return [[] for _ in text.visible]
