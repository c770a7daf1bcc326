"""What strategies check of their settings, and how parents make a child."""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import SupportsIndex

import numpy as np

from rosearch.space import Genome, SearchSpace


def check_size(name: str, value: object, least: int) -> int:
    """``value`` as a whole number.

    Raises:
        ValueError: It is smaller than ``least``, or no whole number.
    """
    if isinstance(value, bool) or not isinstance(value, SupportsIndex) or index(value) < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}.")
    return index(value)


def check_share(name: str, value: float) -> float:
    """``value`` as a float.

    Raises:
        ValueError: It is not from 0 to 1.
    """
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is a share from 0 to 1, got {value}.")
    return float(value)


def child(
    space: SearchSpace,
    parent: Callable[[], Genome],
    *,
    crossover: float,
    rng: np.random.Generator,
) -> Genome:
    """A mutant of a parent, or of a crossover of two.

    Args:
        space: Where genomes come from.
        parent: Draws a parent.
        crossover: Share of children that have two.
        rng: The only source of randomness.
    """
    genome = parent()
    if rng.random() < crossover:
        genome = space.crossover(genome, parent(), seed=rng)
    return space.mutate(genome, seed=rng)
