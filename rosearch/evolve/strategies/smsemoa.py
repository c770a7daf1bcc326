"""SMS-EMOA."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from rosearch.checks import share, whole_number
from rosearch.evolve.strategies.base import Strategy, registry
from rosearch.evolve.strategies.breeding import breed
from rosearch.evolve.strategies.ordering import levels, objectives, scores
from rosearch.evolve.strategies.replay import Replay
from rosearch.evolve.study.trials import TrialRecord
from rosearch.fitness import hypervolume_contributions
from rosearch.space import Genome, SearchSpace


@registry.register("sms_emoa")
class SMSEMOA(Strategy):
    """Evolution of a population that maximizes the dominated hypervolume.

    Beume, Naujoks and Emmerich (2007), "SMS-EMOA: Multiobjective selection based on dominated
    hypervolume": a steady-state algorithm that draws parents at random. Each new candidate joins
    the population, and the member of the worst front with the smallest hypervolume contribution is
    removed. Objectives are scaled to a range of one, and the reference point is a tenth of the
    range below the worst values of the front (the original uses one unit below, unscaled). With two
    objectives the ends of a front are kept. Constraints and rungs as in :class:`NSGA2`. The cost
    grows exponentially with the number of objectives; up to five are fast.

    The population is computed from the finished trials in the order of their numbers. The first
    ``population`` candidates are samples (or the search's initial genomes).

    Args:
        population: Number of parents, at least 2.
        crossover: Fraction of children with two parents, 0 to 1. All children are mutated.
    """

    def __init__(self, *, population: int = 16, crossover: float = 0.5) -> None:
        self.population = whole_number("population", population, 2)
        self.crossover = share("crossover", crossover)
        select = functools.partial(select_by_hypervolume, count=self.population)
        self._replay = Replay(1, select)

    def propose(
        self, space: SearchSpace, trials: Sequence[TrialRecord], *, number: int, rng: Generator
    ) -> Genome:
        """A sample at first, then a child of random members of the population."""
        parents = self._replay.population(trials, number=number)
        if number < self.population or not parents:
            return space.sample(seed=rng)

        def draw() -> Genome:
            return parents[int(rng.integers(len(parents)))].genome

        return breed(space, draw, crossover=self.crossover, rng=rng)


def select_by_hypervolume(trials: list[TrialRecord], *, count: int) -> list[TrialRecord]:
    """The trials that are left when the smallest contributor of the worst front is removed.

    This is repeated until ``count`` are left.
    """
    kept = list(trials)
    while len(kept) > count:
        level = levels(kept)
        worst = np.flatnonzero(level == level.max())
        contributions = _contributions(objectives(kept)[worst])
        if not scores(kept)[int(worst[0])].feasible:
            contributions[:] = 0.0  # equally infeasible: the earliest is removed
        del kept[int(worst[np.argmin(contributions)])]
    return kept


def _contributions(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Scaled hypervolume contribution of each point of a front, shape ``(points,)``."""
    count, dimensions = points.shape
    low = points.min(axis=0)
    spread = points.max(axis=0) - low
    scaled = (points - low) / np.where(spread > 0, spread, 1.0)
    contributions = hypervolume_contributions(scaled, np.full(dimensions, -0.1))
    if dimensions == 2 and count > 2:
        contributions[[np.argmax(points[:, 0]), np.argmax(points[:, 1])]] = np.inf
    return contributions
