"""The replacements of words that attacks choose from, as token ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from rosearch.attack.resources.oracles import Asking
from rosearch.attack.settings import Part
from rosearch.attack.text import AttackedInput
from rosearch.attack.training.sources import Source, WordSources, answered
from rosearch.attack.victim.tokenization import IncrementalTokenizer, common_ends
from rosearch.checks import choice, whole_number
from rosearch.data import TextDataset
from rosearch.seeding import generator
from rosearch.tokens import TokenizedText, WordChoices

_Ids = tuple[int, ...]
_Slot = tuple[int, int, list[_Ids]]
"""First token of a slot, the token after its last, and what may stand there."""


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
        """Return the replacements of all words.

        Truncated words have none, and neither have texts of ``max_length`` tokens.

        Args:
            dataset: The texts.
            tokenizer: Their tokenizer.
            max_length: Maximum tokens of a text.
        """
        tokens = IncrementalTokenizer(tokenizer, max_length=max_length)
        inputs = [AttackedInput(text, self.attacked_side) for text in dataset.texts]
        self.sources.prepare(inputs)
        found = answered(map(self._texts, inputs))
        return _flattened(
            [_slots(one, texts, tokens) for one, texts in zip(inputs, found, strict=True)]
        )

    def _texts(self, one: AttackedInput) -> Asking[list[list[str]]]:
        """Return, for each word, the texts of the attacked side with the word replaced."""
        words = one.words
        starts = self.sources.start(one, seed=self.seed, purpose="replacements")
        rng = generator(self.seed, "replacements", one.key)
        found: list[list[str]] = []
        for index in range(len(words)):
            texts: list[str] = []
            for swaps in starts:
                candidates = yield from swaps.candidates(words, index)
                texts += map(str, candidates.texts)
            if len(texts) > self.max_replacements:
                chosen = rng.choice(len(texts), size=self.max_replacements, replace=False)
                texts = [texts[i] for i in np.sort(chosen)]
            found.append(texts)
        return found


def _slots(
    one: AttackedInput, found: Sequence[Sequence[str]], tokens: IncrementalTokenizer
) -> list[_Slot]:
    """Return the tokens that change with each word; the first option is the original's."""
    wholes = [one.text, *(one.whole(text) for texts in found for text in texts)]
    row, *variants = tokens.encode(wholes)
    if len(row.ids) >= tokens.max_length:
        return []
    spans: list[tuple[int, int, list[TokenizedText]]] = []
    remaining = iter(variants)
    for texts in found:
        part = [next(remaining) for _ in texts]
        rows = [r for r in part if len(r.ids) < tokens.max_length and r.ids != row.ids]
        if not rows:
            continue
        ends = [common_ends(row.ids, other.ids) for other in rows]
        start, end = min(a for a, _ in ends), len(row.ids) - min(b for _, b in ends)
        while spans and start < spans[-1][1]:
            # Words that share tokens share a slot, in which one of them is replaced.
            first, last, others = spans.pop()
            start, end, rows = min(start, first), max(end, last), others + rows
        if start < end:
            spans.append((start, end, rows))
    slots = []
    for start, end, rows in spans:
        after = len(row.ids) - end
        new = dict.fromkeys(other.ids[start : len(other.ids) - after] for other in rows)
        options = [ids for ids in new if ids]
        if options:
            slots.append((start, end, [row.ids[start:end], *options]))
    return slots


def _flattened(texts: Sequence[Sequence[_Slot]]) -> WordChoices:
    slots = [slot for text in texts for slot in text]
    options = [ids for _, _, ids_of_slot in slots for ids in ids_of_slot]
    return WordChoices(
        first_slots=_starts(map(len, texts)),
        starts=np.array([start for start, _, _ in slots], dtype=np.int64),
        ends=np.array([end for _, end, _ in slots], dtype=np.int64),
        first_choices=_starts(len(ids_of_slot) for _, _, ids_of_slot in slots),
        first_ids=_starts(map(len, options)),
        ids=np.array([token for ids in options for token in ids], dtype=np.int32),
    )


def _starts(counts: Iterable[int]) -> np.ndarray:
    return np.cumsum([0, *counts], dtype=np.int64)
