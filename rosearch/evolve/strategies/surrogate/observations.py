"""What finished trials are to a model: one row each, whatever became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rosearch.evolve.strategies.ordering import maximised
from rosearch.evolve.strategies.surrogate.gaussian import Array
from rosearch.evolve.study.trials import TrialRecord
from rosearch.space.features import GenomeFeatures, features

_TOLERANCE = 1e-9
"""Violations below are rounding."""
_FARTHEST = 2.0
"""Violations count up to so many times their median."""


@dataclass(frozen=True)
class Observations:
    """One row a trial, of the highest rung that it has finished; failed trials come last.

    The rungs of a trial are one training: what was luck in one was luck in the other. As two
    observations they would tell the model that there is little noise.

    - If others went on from the rung that a trial ended at, its objectives are moved by the mean
      difference of those that have both. So is its violation, by that of those which broke a
      constraint there as well; what kept them is taken to keep them.
    - Infeasible trials lose what they are better than the worst feasible one, in proportion to
      their violation, and all of it from the median of the violations on: what they reach may mean
      nothing, as the robustness of a student that gives one answer to everything.
    - Values far below the others count as less far, because students that failed to learn anything
      would be most of the variance; violations far above the others likewise.
    - Failed trials count as the worst of the others, so that what cannot be trained is not proposed
      again and again.

    Attributes:
        features: Of each row.
        values: Objectives, larger is better, shape ``(rows, objectives)``.
        violations: Shape ``(rows,)``: above 0 for the infeasible; for the feasible as far below it
            as most of the others are above; all 0 where all are feasible.
        below: How many rungs each is below the highest that any trial has finished.
        reached: Objectives of the feasible trials at that rung, shape ``(trials, objectives)``;
            where there are none, what the feasible ones below it are expected to reach.
    """

    features: list[GenomeFeatures]
    values: Array
    violations: Array
    below: npt.NDArray[np.int64]
    reached: Array

    @classmethod
    def of(cls, trials: Sequence[TrialRecord]) -> Observations:
        """What the trials are to a model.

        Raises:
            ValueError: None has a score.
        """
        rows = [
            (trial, rung, score)
            for trial in trials
            if trial.score is not None
            for rung, score in enumerate(trial.scores or (trial.score,))
        ]
        if not rows:
            raise ValueError(f"A model needs trials with a score; none of {len(trials)} has one.")
        rung = np.array([r for _, r, _ in rows])
        numbers = [trial.number for trial, _, _ in rows]
        last = list({number: row for row, number in enumerate(numbers)}.values())
        top = int(rung.max())
        values = maximised([score for _, _, score in rows])
        broken = np.array([score.violation for _, _, score in rows])
        infeasible = broken > _TOLERANCE
        values += _rise(values, numbers, rung)
        broken = np.where(infeasible, broken + _rise(broken, numbers, rung, infeasible), broken)
        values, broken, rung = values[last], broken[last], rung[last]
        feasible = broken <= _TOLERANCE
        complete = feasible & (rung == top)
        reached = values[complete if complete.any() else feasible]
        values = _raised(_discounted(values, broken))
        violations = _signed(broken)
        failed = [trial for trial in trials if trial.state == "failed"]
        worst = np.tile(values.min(axis=0), (len(failed), 1))
        return cls(
            [features(rows[row][0].genome) for row in last]
            + [features(trial.genome) for trial in failed],
            np.concatenate([values, worst]),
            np.concatenate([violations, np.full(len(failed), max(0.0, -violations.min()))]),
            np.concatenate([top - rung, np.zeros(len(failed), dtype=np.int64)]),
            reached,
        )


def _rise(
    values: Array,
    numbers: Sequence[int],
    rung: npt.NDArray[np.int64],
    alike: npt.NDArray[np.bool_] | None = None,
) -> Array:
    """How much higher scores are at the highest rung; of lower rungs the mean, 0 where unknown.

    Args:
        values: One row a score.
        numbers: Of their trials.
        rung: Theirs.
        alike: Whose differences count; all if omitted.
    """
    rise: Array = np.zeros_like(values)
    top = int(rung.max())
    last = {number: row for row, number in enumerate(numbers) if rung[row] == top}
    for below in range(top):
        rows = np.flatnonzero(rung == below)
        known = rows if alike is None else rows[alike[rows]]
        pairs = [(last[numbers[row]], row) for row in known if numbers[row] in last]
        if pairs:
            above, under = map(list, zip(*pairs, strict=True))
            rise[rows] = (values[above] - values[under]).mean(axis=0)
    return rise


def _discounted(values: Array, broken: Array) -> Array:
    """Objectives, of which the infeasible lose the more the farther they are outside.

    From as far as the median of the infeasible on nothing is left above the lowest of a feasible
    one.
    """
    good = broken <= _TOLERANCE
    if good.all() or not good.any():
        return values
    least = values[good].min(axis=0)
    left = np.clip(1 - broken / np.median(broken[~good]), 0, 1)[:, None]
    allowed = least + left * np.maximum(values - least, 0)
    return np.where(good[:, None], values, np.minimum(values, allowed))


def _raised(values: Array) -> Array:
    """Objectives, of which the lowest are raised to two spreads below the median."""
    quarter, middle = np.quantile(values, [0.25, 0.5], axis=0)
    # The better half's; where that is one value, as of an accuracy that most reach, the next best.
    spread = np.maximum(values.max(axis=0) - middle, middle - quarter)
    return np.where(spread > 0, np.maximum(values, middle - 2 * spread), values)


def _signed(broken: Array) -> Array:
    """Violations, with a value below 0 for the feasible that sets them as far off as most."""
    bad = broken > _TOLERANCE
    if not bad.any():
        return np.zeros_like(broken)
    middle = np.median(broken[bad])
    return np.where(bad, np.minimum(broken, _FARTHEST * middle), -middle)
