"""Which of the finished trials are better, also where they ended on different rungs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from rosearch.evolve.records import TrialRecord
from rosearch.fitness import Score, non_dominated_ranks


def scored(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials that have a score: complete ones, and those stopped below the last rung."""
    return [trial for trial in trials if trial.score is not None]


def scores(trials: Sequence[TrialRecord]) -> list[Score]:
    """The scores of trials that have one, each of the highest rung that it has finished."""
    return [trial.score for trial in trials if trial.score is not None]


def maximised(scores: Sequence[Score]) -> npt.NDArray[np.float64]:
    """Objectives, shape ``(scores, objectives)``, larger is better."""
    return np.array(
        [
            [v if d == "maximize" else -v for v, d in zip(s.values, s.directions, strict=True)]
            for s in scores
        ]
    )


def same(seen: Sequence[TrialRecord], trials: Sequence[TrialRecord]) -> bool:
    """Whether two sequences hold the very same records, which cannot change."""
    return len(seen) == len(trials) and all(a is b for a, b in zip(seen, trials, strict=True))


def levels(trials: Sequence[TrialRecord]) -> npt.NDArray[np.int64]:
    """Level of each trial with a score: 0 for the best, equal for trials that none prefers.

    Constrained domination of Deb et al. (2002), "A fast and elitist multiobjective genetic
    algorithm: NSGA-II", section VI.A, rung by rung from the highest: first the feasible by their
    non-dominated rank, then the infeasible by their violation.

    Args:
        trials: All have a score.
    """
    found = np.zeros(len(trials), dtype=np.int64)
    known = scores(trials)
    rungs = np.array([trial.rung or 0 for trial in trials], dtype=np.int64)
    violation = np.array([score.violation for score in known])
    feasible = np.array([score.feasible for score in known], dtype=bool)
    points = maximised(known)
    above = 0
    for rung in sorted(set(rungs.tolist()), reverse=True):
        good = (rungs == rung) & feasible
        if good.any():
            found[good] = above + non_dominated_ranks(points[good])
            above = int(found[good].max()) + 1
        bad = (rungs == rung) & ~feasible
        if bad.any():
            found[bad] = above + np.unique(violation[bad], return_inverse=True)[1]
            above = int(found[bad].max()) + 1
    return found


Survive = Callable[[list[TrialRecord]], list[TrialRecord]]
"""From a population and its children to the next population."""


class Replay:
    """Generations played again from the finished trials, so that no state has to be stored.

    Trials are children of generation ``number // size``. What was computed for the first
    generations is kept as long as the trials are the very same records.

    Args:
        size: Children a generation.
        survive: Chooses among a population and its children.
    """

    def __init__(self, size: int, survive: Survive) -> None:
        self._size = size
        self._survive = survive
        self._seen: list[TrialRecord] = []
        self._population: list[TrialRecord] = []

    def population(self, trials: Sequence[TrialRecord], *, number: int) -> list[TrialRecord]:
        """The population that trial ``number`` is a child of.

        Args:
            trials: Finished trials in order of their numbers.
            number: Trials of its own generation, and later ones, do not count.
        """
        end = number // self._size
        known = [t for t in trials if t.score is not None and t.number // self._size < end]
        if not self._continues(known):
            self._seen, self._population = [], []
        start = len(self._seen)
        while start < len(known):
            generation = known[start].number // self._size
            stop = start
            while stop < len(known) and known[stop].number // self._size == generation:
                stop += 1
            self._population = self._survive([*self._population, *known[start:stop]])
            start = stop
        self._seen = known
        return self._population

    def _continues(self, known: list[TrialRecord]) -> bool:
        """Whether only later generations have joined since the last call."""
        seen = self._seen
        count = len(seen)
        if not same(seen, known[:count]):
            return False
        return count in (0, len(known)) or (
            known[count].number // self._size != seen[-1].number // self._size
        )
