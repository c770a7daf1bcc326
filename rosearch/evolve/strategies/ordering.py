"""Which of the finished trials are better, also where they ended on different rungs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from rosearch.evolve.study.trials import TrialRecord
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

    Trials are children of generation ``number // size``. The population after each generation is
    kept as long as the trials up to there are the very same records, so that a trial that finishes
    late is all that is played again, with those after it.

    Args:
        size: Children a generation.
        survive: Chooses among a population and its children.
    """

    def __init__(self, size: int, survive: Survive) -> None:
        self._size = size
        self._survive = survive
        self._seen: list[TrialRecord] = []
        self._after: list[tuple[int, list[TrialRecord]]] = []
        """After each generation: how many trials there were, and the population."""

    def __getstate__(self) -> dict[str, Any]:
        return vars(Replay(self._size, self._survive))  # what is kept for the next call stays here

    def population(self, trials: Sequence[TrialRecord], *, number: int) -> list[TrialRecord]:
        """The population that trial ``number`` is a child of.

        Args:
            trials: Finished trials in order of their numbers.
            number: Trials of its own generation, and later ones, do not count.
        """
        end = number // self._size
        known = [t for t in trials if t.score is not None and self._generation(t) < end]
        pairs = enumerate(zip(self._seen, known, strict=False))
        alike = next((k for k, (a, b) in pairs if a is not b), min(len(self._seen), len(known)))
        while self._after and not self._holds(self._after[-1][0], known, alike):
            self._after.pop()
        start, population = self._after[-1] if self._after else (0, [])
        for _, children in groupby(known[start:], key=self._generation):
            joined = list(children)
            population = self._survive([*population, *joined])
            start += len(joined)
            self._after.append((start, population))
        self._seen = known
        return population

    def _generation(self, trial: TrialRecord) -> int:
        return trial.number // self._size

    def _holds(self, count: int, known: list[TrialRecord], alike: int) -> bool:
        """Whether the first ``count`` trials are the same still, and whole generations."""
        if count > alike:
            return False
        return count == len(known) or (
            self._generation(known[count]) != self._generation(known[count - 1])
        )
