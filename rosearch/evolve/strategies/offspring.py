"""What strategies check of their settings, and how parents make a child."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from operator import index
from typing import Any, SupportsFloat, SupportsIndex

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


def check_number(name: str, value: Any, least: float, most: float = math.inf) -> float:
    """``value`` as a float.

    Raises:
        ValueError: It is no finite number, or outside its range.
    """
    if not isinstance(value, bool) and isinstance(value, SupportsFloat):
        number = float(value)
        if math.isfinite(number) and least <= number <= most:
            return number
    expected = f"of at least {least:g}" if most == math.inf else f"from {least:g} to {most:g}"
    raise ValueError(f"{name} is a finite number {expected}, got {value!r}.")


def check_share(name: str, value: Any) -> float:
    """``value`` as a float.

    Raises:
        ValueError: It is not from 0 to 1.
    """
    return check_number(name, value, 0.0, 1.0)


def check_seeds(seeds: Any, numbered: Callable[[int], int]) -> list[int]:
    """Seeds, each once.

    Args:
        seeds: They, or how many.
        numbered: The seed with a number, where it is how many.

    Raises:
        ValueError: They are no whole numbers of at least 0, there is none, or one is there twice.
    """
    expected = "seeds is a number of at least 1, or whole numbers of at least 0, each once"
    if isinstance(seeds, SupportsIndex) and not isinstance(seeds, bool):
        numbers = [numbered(i) for i in range(index(seeds))]
    elif isinstance(seeds, Iterable) and not isinstance(seeds, (str, bytes)):
        numbers = [check_size("a seed", seed, 0) for seed in seeds]
    else:
        raise ValueError(f"{expected}; got {seeds!r}.")
    if not numbers or len(set(numbers)) < len(numbers):
        raise ValueError(f"{expected}; got {seeds!r}.")
    return numbers


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
