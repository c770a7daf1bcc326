"""Regularized evolution."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.random import Generator

from rosearch.checks import share, whole_number
from rosearch.evolve.strategies.base import Strategy, registry
from rosearch.evolve.strategies.breeding import breed
from rosearch.evolve.strategies.ordering import scored
from rosearch.evolve.study.trials import TrialRecord, comparable
from rosearch.space import Genome, SearchSpace


@registry.register("regularized_evolution")
class RegularizedEvolution(Strategy):
    """Aging evolution with tournaments.

    Real et al. (2019), "Regularized Evolution for Image Classifier Architecture Search", algorithm
    1: the first ``population`` candidates are samples (or the search's initial genomes). After that
    the population is the last ``population`` trials with a score, and the next candidate is a
    mutant of the best of a random ``tournament``. Best means best by fitness, or by Pareto rank and
    then crowding distance, and a higher rung before a lower one. Crossover is our addition.

    Args:
        population: Size of the population, at least 2.
        tournament: Trials that compete to be the parent; 1 chooses at random.
        crossover: Fraction of children with two parents, 0 to 1. All children are mutated.
    """

    def __init__(
        self, *, population: int = 16, tournament: int = 4, crossover: float = 0.2
    ) -> None:
        self.population = whole_number("population", population, 2)
        self.tournament = whole_number("tournament", tournament, 1, self.population)
        self.crossover = share("crossover", crossover)

    def propose(
        self, space: SearchSpace, trials: Sequence[TrialRecord], *, number: int, rng: Generator
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

        return breed(space, winner, crossover=self.crossover, rng=rng)
