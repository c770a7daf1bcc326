"""Random choices, drawn from a numpy generator in blocks, since its single draws are slow."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
_BLOCK = 64


class RandomChoices:
    """Random choices that depend only on the state of a generator.

    Args:
        generator: Source of the randomness, read in blocks of 64 numbers.
    """

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator
        self._block: list[float] = []

    def unit(self) -> float:
        """Draw from the uniform distribution on [0, 1)."""
        if not self._block:
            self._block = self._generator.random(_BLOCK).tolist()
        return self._block.pop()

    def below(self, count: int) -> int:
        """Draw a number from 0 to ``count - 1``."""
        return int(self.unit() * count)

    def chance(self, probability: float) -> bool:
        """Draw True with this probability."""
        return self.unit() < probability

    def pick(self, options: Sequence[T]) -> T:
        """Draw one of the options, all equally likely."""
        return options[self.below(len(options))]

    def weighted(self, options: Sequence[T], cumulative: Sequence[float]) -> T:
        """Draw one of the options by weights, given as their cumulative sums."""
        place = bisect_right(cumulative, self.unit() * cumulative[-1])
        return options[min(place, len(options) - 1)]

    def shuffled(self, options: Iterable[T]) -> list[T]:
        """Return all options in random order (Fisher and Yates)."""
        items = list(options)
        for k in range(len(items) - 1, 0, -1):
            other = int(self.unit() * (k + 1))
            items[k], items[other] = items[other], items[k]
        return items

    def identity(self) -> str:
        """Draw a node identity: 48 bits, so that unrelated genomes do not share any."""
        return f"{int(self.unit() * 2**48):012x}"
