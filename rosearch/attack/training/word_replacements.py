"""The replacements of words that attacks choose from, as token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rosearch.attack.resources.oracles import Asking
from rosearch.attack.settings import Part
from rosearch.attack.text import AttackedInput
from rosearch.attack.training.slots import Excerpt, RowTokenizer, flattened
from rosearch.attack.training.sources import Source, WordSources, answered
from rosearch.checks import choice, whole_number
from rosearch.data import TextDataset
from rosearch.seeding import generator
from rosearch.tokens import WordChoices


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
        excerpts = [tokens.excerpt(one) for one in inputs]
        found = answered(map(self._texts, inputs, excerpts))
        return flattened(
            [tokens.slots(*text) for text in zip(inputs, excerpts, found, strict=True)],
            cuts_left=tokens.cuts_left,
        )

    def _texts(self, one: AttackedInput, excerpt: Excerpt) -> Asking[list[list[str]]]:
        """Return, for each visible word, the texts of the attacked side with the word replaced."""
        words = one.words
        starts = self.sources.start(one, seed=self.seed, purpose="replacements")
        rng = generator(self.seed, "replacements", one.key)
        found: list[list[str]] = []
        for index in excerpt.visible:
            texts: list[str] = []
            for swaps in starts:
                candidates = yield from swaps.candidates(words, index)
                texts += map(str, candidates.texts)
            if len(texts) > self.max_replacements:
                chosen = rng.choice(len(texts), size=self.max_replacements, replace=False)
                texts = [texts[i] for i in np.sort(chosen)]
            found.append(texts)
        return found
