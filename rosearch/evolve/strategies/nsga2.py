"""NSGA-II."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rosearch.evolve.strategies.base import Strategy, registry
from rosearch.evolve.strategies.offspring import check_share, check_size, child
from rosearch.evolve.strategies.ordering import Replay, levels, maximised, scores
from rosearch.evolve.study.trials import TrialRecord, comparable
from rosearch.fitness import crowding_distance
from rosearch.space import Genome, SearchSpace


@registry.register("nsga2")
class NSGA2(Strategy):
    """Elitist evolution by Pareto rank and crowding distance.

    After Deb et al. (2002), "A fast and elitist multiobjective genetic algorithm: NSGA-II": a
    generation is bred by binary tournaments, and the best of it and of its parents together, by
    constrained domination and then crowding distance, are the next parents. With one objective it
    is a plain elitist evolution.

    Generations go by the numbers of the trials, so that nothing has to be stored: trial ``n``
    belongs to generation ``n // offspring``, and its parents are chosen from all earlier
    generations, played again from the start. The first ``population`` candidates are samples (or
    the search's seeds). A trial of a higher rung is preferred to one of a lower rung.

    Args:
        population: Parents a generation; at least 2.
        offspring: Children a generation; 1 makes it a steady state. Default: ``population``.
        crossover: Share of children, 0 to 1, that come from two parents. All are mutated.
    """

    def __init__(
        self, *, population: int = 16, offspring: int | None = None, crossover: float = 0.5
    ) -> None:
        self.population = check_size("population", population, 2)
        self.offspring = check_size("offspring", population if offspring is None else offspring, 1)
        self.crossover = check_share("crossover", crossover)
        self._replay = Replay(self.offspring, self._survivors)

    def propose(
        self,
        space: SearchSpace,
        trials: Sequence[TrialRecord],
        *,
        number: int,
        rng: np.random.Generator,
    ) -> Genome:
        """A sample at first, then a child of winners of binary tournaments."""
        parents = self._replay.population(trials, number=number)
        if number < self.population or not parents:
            return space.sample(seed=rng)
        rank = levels(parents)
        points = maximised(scores(parents))
        room = np.zeros(len(parents))
        for level in set(rank.tolist()):
            room[rank == level] = crowding_distance(points[rank == level])

        def winner() -> Genome:
            size = min(2, len(parents))
            entrants: list[int] = rng.choice(len(parents), size=size, replace=False).tolist()
            return parents[min(entrants, key=lambda i: (rank[i], -room[i]))].genome

        return child(space, winner, crossover=self.crossover, rng=rng)

    def _survivors(self, trials: list[TrialRecord]) -> list[TrialRecord]:
        if len(trials) <= self.population:
            return trials
        return sorted(comparable(trials)[: self.population], key=lambda trial: trial.number)
