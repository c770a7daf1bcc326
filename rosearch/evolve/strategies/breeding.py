"""How parents make a child."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rosearch.space import Genome, SearchSpace


def breed(
    space: SearchSpace,
    draw_parent: Callable[[], Genome],
    *,
    crossover: float,
    rng: np.random.Generator,
) -> Genome:
    """A mutant of a parent, or of a crossover of two.

    Args:
        space: Where genomes come from.
        draw_parent: Draws a parent.
        crossover: Probability of a second parent.
        rng: The only source of randomness.
    """
    genome = draw_parent()
    if rng.random() < crossover:
        genome = space.crossover(genome, draw_parent(), seed=rng)
    return space.mutate(genome, seed=rng)
