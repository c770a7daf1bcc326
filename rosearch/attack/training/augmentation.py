"""Data augmentation by the random word substitutions of attacks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rosearch.attack.resources.oracles import Asking
from rosearch.attack.settings import Part
from rosearch.attack.text import AttackedInput, Words
from rosearch.attack.training.sources import Source, WordSources, answered
from rosearch.attack.word_swaps.candidates import TextSwaps
from rosearch.checks import choice, number, whole_number
from rosearch.data import Text, TextDataset
from rosearch.seeding import generator


class SubstitutionAugmentation(Part):
    """Training texts with random word substitutions, for ``Distiller(augmentation=...)``.

    The substitutions depend only on ``seed``, the text, the copy and, with ``redraw``, the epoch.
    So all candidates of a search share the texts and the teacher outputs for them. A text in which
    no word can be replaced has no copy. Words that truncation hides are left out of it.

    Args:
        sources: Attacks, their names, or substitutions; of several, one is drawn for each word.
        share: Share of the words of a text to replace, 0 to 1; at least one word is replaced.
        copies: Perturbed texts per example and epoch.
        redraw: Whether to draw other texts in every epoch; the teacher then reads each of them.
        answers: What perturbed texts are trained to: ``"perturbed"``, the teacher outputs for them,
            or ``"original"``, those for the original texts.
        attacked_side: Which text of a pair is perturbed: 0 the first, 1 the second.
        seed: Seed of all draws.

    Raises:
        ArgumentError: A source is not a source, or another argument is out of range.
        MissingResourceError: A source needs a resource that is not available.
        RegistryError: An attack is not registered.
    """

    name = "substitution"

    def __init__(
        self,
        sources: Source | Sequence[Source],
        *,
        share: float = 0.2,
        copies: int = 1,
        redraw: bool = False,
        answers: str = "perturbed",
        attacked_side: int = 1,
        seed: int = 0,
    ) -> None:
        self.sources = WordSources(sources)
        self.share = number("share", share, 0.0, 1.0)
        self.copies = whole_number("copies", copies)
        self.redraw = bool(redraw)
        self.answers = choice("answers", answers, ("perturbed", "original"))
        self.attacked_side = choice("attacked_side", attacked_side, (0, 1))
        self.seed = whole_number("seed", seed, None)

    def texts(self, dataset: TextDataset, *, epoch: int) -> list[tuple[int, Text]]:
        """Return perturbed texts, each with the position of its original.

        Args:
            dataset: The training texts.
            epoch: Other epochs give other texts.
        """
        inputs = [AttackedInput(text, self.attacked_side) for text in dataset.texts]
        self.sources.prepare(inputs)
        found: list[tuple[int, Text]] = []
        tasks = [(copy, i) for copy in range(self.copies) for i in range(len(inputs))]
        steps = (self._perturb(inputs[i], epoch, copy) for copy, i in tasks)
        for (_, i), words in zip(tasks, answered(steps), strict=True):
            text = inputs[i].whole(words.text)
            if text != dataset.texts[i]:
                found.append((i, text))
        return found

    def _perturb(self, one: AttackedInput, epoch: int, copy: int) -> Asking[Words]:
        words = one.words
        rng = generator(self.seed, "augmentation", epoch, copy, one.key)
        seed = int(rng.integers(2**62))
        starts = self.sources.start(one, seed=seed, purpose="augmentation")
        current, left = words, max(1, round(self.share * len(words)))
        grown: list[tuple[int, int]] = []
        for index in rng.permutation(len(words)).tolist():
            if not left:
                break
            # A replacement of several words has moved the words after it.
            place = index + sum(by for before, by in grown if before < index)
            replaced = yield from _replaced(starts, current, place, rng)
            if replaced is not None:
                grown.append((index, len(replaced) - len(current)))
                current, left = replaced, left - 1
        return current


def _replaced(
    starts: Sequence[TextSwaps], current: Words, index: int, rng: np.random.Generator
) -> Asking[Words | None]:
    """Replace one word by a random source; by another source if the first has no replacement."""
    for place in rng.permutation(len(starts)).tolist():
        candidates = yield from starts[place].candidates(current, index)
        if candidates.texts:
            chosen: Words = candidates.texts[int(rng.integers(len(candidates.texts)))]
            return chosen
    return None
