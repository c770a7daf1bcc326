"""NSGA-II."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from rosearch.checks import share, whole_number
from rosearch.evolve.strategies.base import Strategy, registry
from rosearch.evolve.strategies.breeding import breed
from rosearch.evolve.strategies.ordering import levels, objectives
from rosearch.evolve.strategies.replay import Replay
from rosearch.evolve.study.trials import TrialRecord, comparable
from rosearch.fitness import crowding_distance
from rosearch.space import Genome, SearchSpace


@registry.register("nsga2")
class NSGA2(Strategy):
    """Elitist evolution by Pareto rank and crowding distance.

    Deb et al. (2002), "A fast and elitist multiobjective genetic algorithm: NSGA-II": binary
    tournaments select the parents of a generation, and the best of parents and children, by
    constrained domination and then crowding distance, are the next parents. With one objective it
    is a plain elitist evolution.

    Trial ``n`` belongs to generation ``n // offspring``; its parents are computed from the trials
    of all earlier generations, so nothing has to be stored. The first ``population`` candidates are
    samples (or the search's initial genomes). A trial of a higher rung is preferred to one of a
    lower rung.

    Args:
        population: Number of parents, at least 2.
        offspring: Children in a generation; 1 makes it a steady-state algorithm. Default:
            ``population``.
        crossover: Fraction of children with two parents, 0 to 1. All children are mutated.
    """

    def __init__(
        self, *, population: int = 16, offspring: int | None = None, crossover: float = 0.5
    ) -> None:
        self.population = whole_number("population", population, 2)
        self.offspring = whole_number("offspring", population if offspring is None else offspring)
        self.crossover = share("crossover", crossover)
        select = functools.partial(select_by_crowding, count=self.population)
        self._replay = Replay(self.offspring, select)

    def propose(
        self, space: SearchSpace, trials: Sequence[TrialRecord], *, number: int, rng: Generator
    ) -> Genome:
        """A sample at first, then a child of the winners of binary tournaments."""
        parents = self._replay.population(trials, number=number)
        if number < self.population or not parents:
            return space.sample(seed=rng)
        level = levels(parents)
        points = objectives(parents)
        crowding = np.zeros(len(parents))
        for front in set(level.tolist()):
            crowding[level == front] = crowding_distance(points[level == front])

        def winner() -> Genome:
            size = min(2, len(parents))
            entrants: list[int] = rng.choice(len(parents), size=size, replace=False).tolist()
            return parents[min(entrants, key=lambda i: (level[i], -crowding[i]))].genome

        return breed(space, winner, crossover=self.crossover, rng=rng)


def select_by_crowding(trials: list[TrialRecord], *, count: int) -> list[TrialRecord]:
    """The best ``count`` trials by constrained domination and then crowding distance."""
    if len(trials) <= count:
        return trials
    return sorted(comparable(trials)[:count], key=lambda trial: trial.number)
