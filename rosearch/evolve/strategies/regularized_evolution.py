"""Regularised evolution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rosearch.evolve.strategies.base import Strategy, registry
from rosearch.evolve.strategies.offspring import check_share, check_size, child
from rosearch.evolve.strategies.ordering import scored
from rosearch.evolve.study.trials import TrialRecord, comparable
from rosearch.space import Genome, SearchSpace


@registry.register("regularized_evolution")
class RegularizedEvolution(Strategy):
    """Ageing evolution with tournaments.

    After Real et al. (2019), "Regularized Evolution for Image Classifier Architecture Search",
    algorithm 1: the first ``population`` candidates are samples (or the search's seeds); after that
    the population is the last ``population`` candidates that have a score, by their numbers,
    whether good or bad; the best of a random ``tournament`` is the parent, and its mutant is next.
    Crossover is our addition. Best means best by fitness, or by Pareto rank and then crowding
    distance, and a higher rung before a lower one.

    Args:
        population: How many candidates are parents-to-be; at least 2.
        tournament: How many of them compete to be the parent; 1 makes the choice random.
        crossover: Share of children, 0 to 1, that come from two parents (and are then mutated).
    """

    def __init__(
        self, *, population: int = 16, tournament: int = 4, crossover: float = 0.2
    ) -> None:
        self.population = check_size("population", population, 2)
        if not 1 <= tournament <= population:
            raise ValueError(
                f"tournament must be from 1 to the population of {population}, got {tournament}."
            )
        self.tournament = int(tournament)
        self.crossover = check_share("crossover", crossover)

    def propose(
        self,
        space: SearchSpace,
        trials: Sequence[TrialRecord],
        *,
        number: int,
        rng: np.random.Generator,
    ) -> Genome:
        """A sample at first, then a mutant of a tournament's winner."""
        alive = scored(trials)[-self.population :]
        if number < self.population or not alive:
            return space.sample(seed=rng)
        place = {trial.number: i for i, trial in enumerate(comparable(alive))}

        def winner() -> Genome:
            size = min(self.tournament, len(alive))
            entrants: list[int] = rng.choice(len(alive), size=size, replace=False).tolist()
            return min((alive[i] for i in entrants), key=lambda t: place[t.number]).genome

        return child(space, winner, crossover=self.crossover, rng=rng)
