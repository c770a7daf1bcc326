"""Order of finished trials, also of those that ended on different rungs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rosearch.evolve.study.trials import TrialRecord
from rosearch.fitness import Score, non_dominated_ranks


def scored(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials with a score: complete ones, and those stopped below the last rung."""
    return [trial for trial in trials if trial.score is not None]


def scores(trials: Sequence[TrialRecord]) -> list[Score]:
    """Scores of the trials that have one, at the highest rung that each has finished."""
    return [trial.score for trial in trials if trial.score is not None]


def objectives(trials: Sequence[TrialRecord]) -> npt.NDArray[np.float64]:
    """Objectives of trials with a score, shape ``(trials, objectives)``, larger is better."""
    return np.array([score.maximized for score in scores(trials)])


def same(first: Sequence[TrialRecord], second: Sequence[TrialRecord]) -> bool:
    """Whether two sequences hold the same objects; records never change."""
    return len(first) == len(second) and all(a is b for a, b in zip(first, second, strict=True))


def levels(trials: Sequence[TrialRecord]) -> npt.NDArray[np.int64]:
    """Level of each trial with a score: 0 for the best, equal for trials of equal rank.

    Constrained domination of Deb et al. (2002), "A fast and elitist multiobjective genetic
    algorithm: NSGA-II", section VI.A, rung by rung from the highest: first the feasible trials by
    their non-dominated rank, then the infeasible ones by their violation.
    """
    level = np.zeros(len(trials), dtype=np.int64)
    rungs = np.array([trial.rung or 0 for trial in trials], dtype=np.int64)
    violation = np.array([score.violation for score in scores(trials)])
    feasible = np.array([score.feasible for score in scores(trials)], dtype=bool)
    points = objectives(trials)
    above = 0
    for rung in sorted(set(rungs.tolist()), reverse=True):
        good = (rungs == rung) & feasible
        if good.any():
            level[good] = above + non_dominated_ranks(points[good])
            above = int(level[good].max()) + 1
        bad = (rungs == rung) & ~feasible
        if bad.any():
            level[bad] = above + np.unique(violation[bad], return_inverse=True)[1]
            above = int(level[bad].max()) + 1
    return level
