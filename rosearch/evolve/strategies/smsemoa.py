"""SMS-EMOA."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rosearch.evolve.strategies.base import Strategy, registry
from rosearch.evolve.strategies.offspring import check_share, check_size, child
from rosearch.evolve.strategies.ordering import Replay, levels, maximised, scores
from rosearch.evolve.study.trials import TrialRecord
from rosearch.fitness import hypervolume_contributions
from rosearch.space import Genome, SearchSpace


@registry.register("sms_emoa")
class SMSEMOA(Strategy):
    """Evolution of a population that covers as much hypervolume as it can.

    After Beume, Naujoks and Emmerich (2007), "SMS-EMOA: Multiobjective selection based on dominated
    hypervolume": a steady state of random parents, one child at a time; whenever there is one too
    many, that member of the worst front leaves whose share of the dominated volume is smallest.
    Ranges are set to one, and the volume is measured from a tenth of the range below the front's
    worst values (the original measures from one unit below, in its own units); with two objectives
    the ends of a front stay. Constraints and rungs as in :class:`NSGA2`. Where there are more than
    three objectives, the crowding distance takes the place of the hypervolume.

    The population is played again from the finished trials in order of their numbers. The first
    ``population`` candidates are samples (or the search's seeds).

    Args:
        population: Number of parents; at least 2.
        crossover: Share of children, 0 to 1, that come from two parents. All are mutated.
    """

    def __init__(self, *, population: int = 16, crossover: float = 0.5) -> None:
        self.population = check_size("population", population, 2)
        self.crossover = check_share("crossover", crossover)
        self._replay = Replay(1, self._survivors)

    def propose(
        self,
        space: SearchSpace,
        trials: Sequence[TrialRecord],
        *,
        number: int,
        rng: np.random.Generator,
    ) -> Genome:
        """A sample at first, then a child of random members of the population."""
        parents = self._replay.population(trials, number=number)
        if number < self.population or not parents:
            return space.sample(seed=rng)

        def drawn() -> Genome:
            return parents[int(rng.integers(len(parents)))].genome

        return child(space, drawn, crossover=self.crossover, rng=rng)

    def _survivors(self, trials: list[TrialRecord]) -> list[TrialRecord]:
        kept = list(trials)
        while len(kept) > self.population:
            rank = levels(kept)
            worst = np.flatnonzero(rank == rank.max())
            share = _shares(maximised(scores(kept))[worst])
            if not scores(kept)[int(worst[0])].feasible:
                share[:] = 0.0  # infeasible and equally so: the earliest leaves
            del kept[int(worst[np.argmin(share)])]
        return kept


def _shares(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What each point of a front is worth, shape ``(points,)``; the smallest leaves."""
    count, objectives = points.shape
    low = points.min(axis=0)
    spread = points.max(axis=0) - low
    scaled = (points - low) / np.where(spread > 0, spread, 1.0)
    share = hypervolume_contributions(scaled, np.full(objectives, -0.1))
    if objectives == 2 and count > 2:
        share[[np.argmax(points[:, 0]), np.argmax(points[:, 1])]] = np.inf
    return share
