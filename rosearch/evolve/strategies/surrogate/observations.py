"""Training data of the surrogate model: one row for each finished trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from rosearch.evolve.strategies.surrogate.gaussian import Array
from rosearch.evolve.study.trials import TrialRecord
from rosearch.space import Genome
from rosearch.space.features import GenomeFeatures, features

_TOLERANCE = 1e-9
"""Violations up to this are rounding errors."""
_MAX_VIOLATION = 2.0
"""Violations are clipped to this multiple of their median."""


@dataclass(frozen=True)
class Observations:
    """One row for each trial, at the highest rung that it has finished; failed trials come last.

    The rungs of a trial share trainings and their noise. As separate observations they would make
    the noise appear too small.

    - If other trials went on from the rung at which a trial ended, the mean difference of their
      objectives between both rungs is added to its objectives. Its violation is adjusted likewise,
      by the trials that also broke a constraint there; a feasible trial stays feasible.
    - The advantage of an infeasible trial over the worst feasible one is reduced in proportion to
      its violation, to nothing from the median violation on: its objectives may be meaningless,
      such as the robustness of a constant classifier.
    - Values far below the others are raised, because students that learned nothing would dominate
      the variance. Large violations are reduced for the same reason.
    - Failed trials count as the worst of the others, so that architectures that cannot be trained
      are not proposed again and again.

    Attributes:
        features: Features of the genomes, one for each row.
        values: Objectives, larger is better, shape ``(rows, objectives)``.
        violations: Shape ``(rows,)``: above 0 for infeasible trials; for feasible ones minus the
            median of the infeasible; all 0 if all trials are feasible.
        below: Rungs between the trial's last rung and the highest that any trial has finished,
            shape ``(rows,)``.
        reached: Objectives of the feasible trials at the highest rung, shape ``(trials,
            objectives)``; if there are none, the expected ones of those below it.
        trainings: Trainings that the metrics are means of, shape ``(rows,)``.
    """

    features: list[GenomeFeatures]
    values: Array
    violations: Array
    below: npt.NDArray[np.int64]
    reached: Array
    trainings: Array

    @classmethod
    def of(cls, trials: Sequence[TrialRecord]) -> Observations:
        """The observations of these trials, at least one of which has a score."""
        rows = [
            (trial, rung, score)
            for trial in trials
            if trial.score is not None
            for rung, score in enumerate(trial.scores or (trial.score,))
        ]
        rung = np.array([r for _, r, _ in rows])
        numbers = [trial.number for trial, _, _ in rows]
        last = list({number: row for row, number in enumerate(numbers)}.values())
        top = int(rung.max())
        values = np.array([score.maximized for _, _, score in rows])
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
            [_features(rows[row][0].genome) for row in last]
            + [_features(trial.genome) for trial in failed],
            np.concatenate([values, worst]),
            np.concatenate([violations, np.full(len(failed), max(0.0, -violations.min()))]),
            np.concatenate([top - rung, np.zeros(len(failed), dtype=np.int64)]),
            reached,
            np.array([_trainings(rows[row][0]) for row in last] + [1.0] * len(failed)),
        )


def _trainings(trial: TrialRecord) -> float:
    last = trial.rungs[-1] if trial.rungs else trial.metrics
    count = float(last.get("trainings", 1.0))
    # An evaluation may call something else by that name.
    return count if 1 <= count < np.inf else 1.0


@lru_cache(maxsize=1024)
def _features(genome: Genome) -> GenomeFeatures:
    """Of a trial's genome, which every proposal asks for again."""
    return features(genome)


def _rise(
    values: Array,
    numbers: Sequence[int],
    rung: npt.NDArray[np.int64],
    alike: npt.NDArray[np.bool_] | None = None,
) -> Array:
    """Mean increase from the rung of each score to the highest rung, 0 if unknown.

    Args:
        values: One row for each score.
        numbers: Numbers of the trials.
        rung: Rungs of the scores.
        alike: Mask of the scores whose increase counts; all if omitted.
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
    """Objectives with those of infeasible trials reduced in proportion to their violation."""
    good = broken <= _TOLERANCE
    if good.all() or not good.any():
        return values
    lowest = values[good].min(axis=0)
    left = np.clip(1 - broken / np.median(broken[~good]), 0, 1)[:, None]
    allowed = lowest + left * np.maximum(values - lowest, 0)
    return np.where(good[:, None], values, np.minimum(values, allowed))


def _raised(values: Array) -> Array:
    """Objectives clipped to two spreads below the median."""
    quarter, middle = np.quantile(values, [0.25, 0.5], axis=0)
    # The spread of the better half; of the next quarter if most values are the maximum.
    spread = np.maximum(values.max(axis=0) - middle, middle - quarter)
    return np.where(spread > 0, np.maximum(values, middle - 2 * spread), values)


def _signed(broken: Array) -> Array:
    """Clipped violations, with minus their median for feasible trials."""
    bad = broken > _TOLERANCE
    if not bad.any():
        return np.zeros_like(broken)
    middle = np.median(broken[bad])
    return np.where(bad, np.minimum(broken, _MAX_VIOLATION * middle), -middle)
