"""Random decisions, drawn from a numpy generator in blocks: single draws are slow there."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
_BLOCK = 64


class Draws:
    """Decisions that follow from the state of a generator.

    Args:
        rng: Drawn from in blocks of 64 numbers, as many as are needed.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._left: list[float] = []

    def unit(self) -> float:
        """Uniform from 0 to 1, without 1."""
        if not self._left:
            self._left = self._rng.random(_BLOCK).tolist()
        return self._left.pop()

    def below(self, count: int) -> int:
        """Uniform from 0 to ``count - 1``."""
        return int(self.unit() * count)

    def chance(self, share: float) -> bool:
        """True in that share of the cases."""
        return self.unit() < share

    def pick(self, options: Sequence[T]) -> T:
        """One of the options, all alike."""
        return options[int(self.unit() * len(options))]

    def weighted(self, options: Sequence[T], cumulative: Sequence[float]) -> T:
        """One of the options, by weights that are given as their running sum."""
        place = bisect_right(cumulative, self.unit() * cumulative[-1])
        return options[min(place, len(options) - 1)]

    def shuffled(self, options: Iterable[T]) -> list[T]:
        """All of them in random order (Fisher and Yates)."""
        items = list(options)
        for k in range(len(items) - 1, 0, -1):
            other = int(self.unit() * (k + 1))
            items[k], items[other] = items[other], items[k]
        return items

    def identity(self) -> str:
        """A node's: 48 random bits, so that lines of descent which never met do not share any."""
        return f"{int(self.unit() * 2**48):012x}"
