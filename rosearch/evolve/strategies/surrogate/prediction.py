"""What finished trials say of genomes that were not tried."""

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
    cumulative,
)
from rosearch.evolve.strategies.surrogate.observations import Observations
from rosearch.evolve.study.trials import TrialRecord, comparable
from rosearch.space.features import GenomeFeatures, feature_matrix

_GROUPS = ("size", "input", "output", "operator", "family", "setting", "node", "path")
"""Groups of features. All count the same before there are observations."""

_PLACES = {group: place for place, group in enumerate(_GROUPS)}

_PRIOR = Hyperparameters(
    (-math.log(len(_GROUPS)),) * len(_GROUPS),
    # Most of what dozens of students say of others is how the fitness rises and falls with each
    # feature; what only the smooth part knows does not reach far.
    linear=math.log(10.0),
    # Two trainings of one genome differ by about as much as genomes that are near each other.
    noise=0.0,
)
_RELATION = 0.8
"""Correlation of a rung with the next."""
_REFIT = 10
"""Hyperparameters are looked for anew after so many trials."""
_MOST = 250
"""Trials that a model is made of; it takes their number to the third power."""


@dataclass(frozen=True)
class Prediction:
    """What is expected of some genomes at the highest rung that any trial has finished.

    Attributes:
        mean: Objectives, larger is better, shape ``(genomes, objectives)``.
        deviation: Their standard deviations.
        feasible: Probability that a genome keeps all constraints, shape ``(genomes,)``.
        reached: Objectives of the feasible trials at that rung, or, where there are none, what
            those below it are expected to reach; shape ``(trials, objectives)``.
        low: Lowest objectives of the observations, shape ``(objectives,)``.
        high: Highest ones.
    """

    mean: Array
    deviation: Array
    feasible: Array
    reached: Array
    low: Array
    high: Array


class Predictor:
    """A Gaussian process of the finished trials.

    :class:`~rosearch.evolve.strategies.surrogate.observations.Observations` says what it takes of
    each trial. Trials of two rungs are observations of related functions: their covariance is
    smaller by a fifth for every rung between them. Of more than 250 trials the best and the latest
    125 count.

    What it computed is kept for the next call with the very same records; it changes no result.
    """

    def __init__(self) -> None:
        self._seen: list[TrialRecord] = []
        self._fitted: tuple[list[TrialRecord], Hyperparameters] | None = None
        self._model: tuple[Observations, GaussianProcess, tuple[str, ...]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return vars(Predictor())  # what is kept for the next call stays here

    def predict(
        self, trials: Sequence[TrialRecord], features: Sequence[GenomeFeatures]
    ) -> Prediction:
        """Predict the objectives of genomes with these features.

        Args:
            trials: Finished trials in order of their numbers, two of them with a score.
            features: Of each genome.

        Raises:
            ValueError: None of the trials has a score.
        """
        found, process, names = self._known(list(trials))
        matrix, _ = feature_matrix(features, names)
        related: Array | None = None
        if found.below.any():
            related = np.asarray(np.power(_RELATION, found.below), dtype=np.float64)
        mean, deviation = process.predict(matrix, related, _unseen(features, names))
        ones = np.ones(len(matrix))
        return Prediction(
            mean[:, :-1],
            deviation[:, :-1],
            _below_zero(mean[:, -1], deviation[:, -1]) if found.violations.any() else ones,
            found.reached,
            found.values.min(axis=0),
            found.values.max(axis=0),
        )

    def _known(
        self, trials: list[TrialRecord]
    ) -> tuple[Observations, GaussianProcess, tuple[str, ...]]:
        if self._model is None or not same(self._seen, trials):
            found = Observations.of(_window(trials))
            self._model = (found, *_process(found, self._hyperparameters(trials)))
            self._seen = trials
        return self._model

    def _hyperparameters(self, trials: list[TrialRecord]) -> Hyperparameters:
        first = trials[: max(_REFIT, len(trials) // _REFIT * _REFIT)]
        if len(scored(first)) < 2:  # so many have failed
            return _PRIOR
        if self._fitted is None or not same(self._fitted[0], first):
            process, _ = _process(Observations.of(_window(first)), None)
            self._fitted = first, process.values
        return self._fitted[1]


def _process(
    found: Observations, values: Hyperparameters | None
) -> tuple[GaussianProcess, tuple[str, ...]]:
    """The model, and the names of the features that it knows."""
    matrix, names = feature_matrix(found.features)
    groups = np.array([_group(name) for name in names])
    apart = np.abs(found.below[:, None] - found.below[None, :])
    process = GaussianProcess(
        Features(matrix, groups, len(_GROUPS)),
        np.column_stack([found.values, found.violations]),
        prior=_PRIOR,
        between=np.power(_RELATION, apart) if apart.any() else None,
        values=values,
    )
    return process, names


def _group(name: str) -> int:
    """Number of a feature's group."""
    return _PLACES[name.split(":", maxsplit=1)[0]]


def _unseen(features: Sequence[GenomeFeatures], names: Sequence[str]) -> Array:
    """Sums of the squares of the features that are not among ``names``, by group.

    Without them a genome with an operator that no trial has would be the same to the model as one
    that lacks it, and would never be tried for what is not known of it.
    """
    known = set(names)
    squares = np.zeros((len(features), len(_GROUPS)))
    for row, values in zip(squares, features, strict=True):
        for name in values.keys() - known:
            row[_group(name)] += values[name] ** 2
    return squares


def _window(trials: list[TrialRecord]) -> list[TrialRecord]:
    if len(trials) <= _MOST:
        return trials
    kept = {trial.number for trial in (*comparable(trials)[: _MOST // 2], *trials[-_MOST // 2 :])}
    return [trial for trial in trials if trial.number in kept]


def _below_zero(mean: Array, deviation: Array) -> Array:
    """Probabilities that normally distributed numbers are below 0."""
    z = -mean / np.maximum(deviation, 1e-12)
    return cumulative(z)
