"""Predictions of the surrogate model for new genomes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rosearch.evolve.strategies.ordering import same, scored
from rosearch.evolve.strategies.surrogate.gaussian import (
    Array,
    Features,
    GaussianProcess,
    Hyperparameters,
    normal_cdf,
)
from rosearch.evolve.strategies.surrogate.observations import Observations
from rosearch.evolve.study.trials import TrialRecord, comparable
from rosearch.space.features import GenomeFeatures, feature_matrix

GROUPS = ("size", "input", "output", "operator", "family", "setting", "node", "path")
"""Groups of features, which have equal weights in the prior."""

PRIOR = Hyperparameters(
    (-math.log(len(GROUPS)),) * len(GROUPS),
    # A few dozen students mostly show linear effects of features; the smooth part does not
    # generalize far.
    linear=math.log(10.0),
    # Two trainings of one genome differ about as much as two similar genomes.
    noise=0.0,
)
_RELATION = 0.8
"""Correlation of a rung with the next one."""
_REFIT = 10
"""Hyperparameters are fitted again after this many trials."""
_MAX_TRIALS = 250
"""Trials in a model, whose computation is cubic in their number."""


@dataclass(frozen=True)
class Prediction:
    """Predictions for some genomes, at the highest rung that any trial has finished.

    Attributes:
        mean: Objectives, larger is better, shape ``(genomes, objectives)``.
        deviation: Their standard deviations, same shape.
        feasible: Probability of satisfying all constraints, shape ``(genomes,)``.
        reached: Objectives of the feasible trials at that rung, or, if there are none, the
            expected ones of those below it; shape ``(trials, objectives)``.
        low: Minimum of each objective over the observations, shape ``(objectives,)``.
        high: Maximum of each objective, same shape.
    """

    mean: Array
    deviation: Array
    feasible: Array
    reached: Array
    low: Array
    high: Array


class Predictor:
    """A Gaussian process fitted to the finished trials.

    :class:`~rosearch.evolve.strategies.surrogate.observations.Observations` is its training data.
    Trials of two rungs are observations of related functions: their covariance is smaller by a
    fifth for every rung between them. Of more than 250 trials the best and the latest 125 count.

    The hyperparameters are cached until they are fitted again.
    """

    def __init__(self) -> None:
        self._fitted: tuple[list[TrialRecord], Hyperparameters] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return vars(Predictor())  # without the cache

    def predict(
        self, trials: Sequence[TrialRecord], features: Sequence[GenomeFeatures]
    ) -> Prediction:
        """Predict the objectives and the feasibility of genomes.

        Args:
            trials: Finished trials in the order of their numbers, at least two with a score.
            features: Features of the genomes.
        """
        found = Observations.of(_window(trials))
        process, names = fit_process(found, self._hyperparameters(trials))
        matrix, _ = feature_matrix(features, names)
        related = np.power(_RELATION, found.below)
        mean, deviation = process.predict(matrix, related, _unseen(features, names))
        z = -mean[:, -1] / np.maximum(deviation[:, -1], 1e-12)
        return Prediction(
            mean=mean[:, :-1],
            deviation=deviation[:, :-1],
            feasible=normal_cdf(z) if found.violations.any() else np.ones(len(matrix)),
            reached=found.reached,
            low=found.values.min(axis=0),
            high=found.values.max(axis=0),
        )

    def _hyperparameters(self, trials: Sequence[TrialRecord]) -> Hyperparameters:
        first = list(trials[: max(_REFIT, len(trials) // _REFIT * _REFIT)])
        if len(scored(first)) < 2:
            return PRIOR
        if self._fitted is None or not same(self._fitted[0], first):
            process, _ = fit_process(Observations.of(_window(first)), None)
            self._fitted = first, process.values
        return self._fitted[1]


def fit_process(
    found: Observations, values: Hyperparameters | None
) -> tuple[GaussianProcess, tuple[str, ...]]:
    """The fitted model, and the names of its features."""
    matrix, names = feature_matrix(found.features)
    process = GaussianProcess(
        Features(matrix, np.array([group_of(name) for name in names]), len(GROUPS)),
        np.column_stack([found.values, found.violations]),
        prior=PRIOR,
        between=np.power(_RELATION, np.abs(found.below[:, None] - found.below[None, :])),
        values=values,
        repeats=found.trainings,
    )
    return process, names


def group_of(name: str) -> int:
    """Index of a feature's group."""
    return GROUPS.index(name.partition(":")[0])


def _unseen(features: Sequence[GenomeFeatures], names: Sequence[str]) -> Array:
    """Sums of squares of the features that are not among ``names``, by group.

    Without them the model would confuse a genome that has an operator new to it with one that
    lacks it, and would never propose it for its uncertainty.
    """
    known = set(names)
    squares = np.zeros((len(features), len(GROUPS)))
    for row, values in zip(squares, features, strict=True):
        for name in values.keys() - known:
            row[group_of(name)] += values[name] ** 2
    return squares


def _window(trials: Sequence[TrialRecord]) -> Sequence[TrialRecord]:
    if len(trials) <= _MAX_TRIALS:
        return trials
    half = _MAX_TRIALS // 2
    kept = {trial.number for trial in (*comparable(trials)[:half], *trials[-half:])}
    return [trial for trial in trials if trial.number in kept]
