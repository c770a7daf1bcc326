"""What finished trials say of genomes that were not tried."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rosearch.evolve.records import TrialRecord, comparable
from rosearch.evolve.strategies.gaussian import (
    Array,
    Features,
    GaussianProcess,
    Hyperparameters,
    cumulative,
)
from rosearch.evolve.strategies.ordering import maximised, same, scored
from rosearch.space.encodings import Encoding, encoded, encoding

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
_TOLERANCE = 1e-9
"""Violations below are rounding."""
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
        reached: Objectives of the feasible trials at that rung, shape ``(trials, objectives)``.
        low: Lowest objectives of the observations, shape ``(objectives,)``.
        high: Highest ones.
    """

    mean: Array
    deviation: Array
    feasible: Array
    reached: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class _Observations:
    """One row a trial, of the highest rung that it has finished.

    The rungs of a trial are one training: what was luck in one was luck in the other. As two
    observations they would tell the model that there is little noise.
    """

    encodings: list[Encoding]
    values: Array
    violations: Array
    below: npt.NDArray[np.int64]
    """How many rungs each is below the highest."""
    reached: Array
    """Values of the feasible trials at the highest rung."""

    @classmethod
    def of(cls, trials: Sequence[TrialRecord]) -> _Observations:
        rows = [
            (trial, rung, score)
            for trial in trials
            if trial.score is not None
            for rung, score in enumerate(trial.scores or (trial.score,))
        ]
        rung = np.array([r for _, r, _ in rows])
        values = maximised([score for _, _, score in rows])
        top = int(rung.max())
        reached = values[(rung == top) & np.array([score.feasible for _, _, score in rows])]
        broken = np.array([[score.violation] for _, _, score in rows])
        numbers = [trial.number for trial, _, _ in rows]
        last = list({number: row for row, number in enumerate(numbers)}.values())
        values = _shifted(values, numbers, rung, top)[last]
        broken = _shifted(broken, numbers, rung, top)[last, 0]
        values = _discounted(values, broken)
        middle, high = np.median(values, axis=0), values.max(axis=0)
        # Those that failed to learn anything would be most of the variance otherwise.
        values = np.maximum(values, middle - 2 * (high - middle))
        violations = _signed(broken)
        failed = [trial for trial in trials if trial.state == "failed"]
        worst = np.tile(values.min(axis=0), (len(failed), 1))
        return cls(
            [encoding(rows[row][0].genome) for row in last]
            + [encoding(trial.genome) for trial in failed],
            np.concatenate([values, worst]),
            np.concatenate([violations, np.full(len(failed), violations.max())]),
            np.concatenate([top - rung[last], np.zeros(len(failed), dtype=np.int64)]),
            reached,
        )

    def process(self, values: Hyperparameters | None) -> tuple[GaussianProcess, tuple[str, ...]]:
        """The model, and the names of the features that it knows."""
        matrix, names = encoded(self.encodings)
        groups = np.array([_group(name) for name in names])
        apart = np.abs(self.below[:, None] - self.below[None, :])
        process = GaussianProcess(
            Features(matrix, groups, len(_GROUPS)),
            np.column_stack([self.values, self.violations]),
            prior=_PRIOR,
            between=np.power(_RELATION, apart) if apart.any() else None,
            values=values,
        )
        return process, names


class Predictor:
    """A Gaussian process of the finished trials.

    Failed trials count as the worst seen, so that what cannot be trained is not proposed again and
    again. Infeasible ones lose what they are better than the worst feasible one, in proportion to
    their violation, and all of it from the median of the violations on: what they reach may mean
    nothing, as the robustness of a student that gives one answer to everything.

    A trial counts at the highest rung that it has finished. If others went on from there, its
    objectives and its violation are moved by the mean difference of those trials that have both,
    and are observations of a related function: the covariance of two rungs is smaller by a fifth
    for every rung between them. Of more than 250 trials the best and the latest 125 count.

    What it computed is kept for the next call with the very same records; it changes no result.
    """

    def __init__(self) -> None:
        self._seen: list[TrialRecord] = []
        self._fitted: tuple[list[TrialRecord], Hyperparameters] | None = None
        self._model: tuple[_Observations, GaussianProcess, tuple[str, ...]] | None = None

    def predict(self, trials: Sequence[TrialRecord], encodings: Sequence[Encoding]) -> Prediction:
        """What is expected of the genomes with these encodings.

        Args:
            trials: Finished trials in order of their numbers, two of them with a score.
            encodings: One a genome.
        """
        found, process, names = self._known(list(trials))
        matrix, _ = encoded(encodings, names)
        related: Array | None = None
        if found.below.any():
            related = np.asarray(np.power(_RELATION, found.below), dtype=np.float64)
        mean, deviation = process.predict(matrix, related, _unseen(encodings, names))
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
    ) -> tuple[_Observations, GaussianProcess, tuple[str, ...]]:
        if self._model is None or not same(self._seen, trials):
            found = _Observations.of(_window(trials))
            self._model = (found, *found.process(self._hyperparameters(trials)))
            self._seen = trials
        return self._model

    def _hyperparameters(self, trials: list[TrialRecord]) -> Hyperparameters:
        first = trials[: max(_REFIT, len(trials) // _REFIT * _REFIT)]
        if len(scored(first)) < 2:  # so many have failed
            return _PRIOR
        if self._fitted is None or not same(self._fitted[0], first):
            process, _ = _Observations.of(_window(first)).process(None)
            self._fitted = first, process.values
        return self._fitted[1]


def _group(name: str) -> int:
    """Number of a feature's group."""
    return _PLACES[name.split(":", maxsplit=1)[0]]


def _unseen(encodings: Sequence[Encoding], names: Sequence[str]) -> Array:
    """Sums of the squares of the features that are not among ``names``, by group.

    Without them a genome with an operator that no trial has would be the same to the model as one
    that lacks it, and would never be tried for what is not known of it.
    """
    known = set(names)
    squares = np.zeros((len(encodings), len(_GROUPS)))
    for row, features in zip(squares, encodings, strict=True):
        for name in features.keys() - known:
            row[_group(name)] += features[name] ** 2
    return squares


def _window(trials: list[TrialRecord]) -> list[TrialRecord]:
    if len(trials) <= _MOST:
        return trials
    kept = {trial.number for trial in (*comparable(trials)[: _MOST // 2], *trials[-_MOST // 2 :])}
    return [trial for trial in trials if trial.number in kept]


def _shifted(values: Array, numbers: list[int], rung: npt.NDArray[np.int64], top: int) -> Array:
    """Scores of lower rungs, moved to where those of the highest are."""
    shifted: Array = values.copy()
    last = {number: row for row, number in enumerate(numbers) if rung[row] == top}
    for below in range(top):
        rows = np.flatnonzero(rung == below)
        pairs = [(last[numbers[row]], row) for row in rows if numbers[row] in last]
        if pairs:
            above, under = map(list, zip(*pairs, strict=True))
            shifted[rows] += (values[above] - values[under]).mean(axis=0)
    return shifted


def _discounted(values: Array, broken: Array) -> Array:
    """Objectives, of which the infeasible lose the more the farther they are outside.

    From as far as the median of the infeasible on nothing is left but the lowest of a feasible one.
    """
    good = broken <= _TOLERANCE
    if good.all() or not good.any():
        return values
    least = values[good].min(axis=0)
    left = np.clip(1 - broken / np.median(broken[~good]), 0, 1)[:, None]
    return np.where(good[:, None], values, least + left * np.maximum(values - least, 0))


def _below_zero(mean: Array, deviation: Array) -> Array:
    """Probabilities that normally distributed numbers are below 0."""
    z = -mean / np.maximum(deviation, 1e-12)
    return cumulative(z)


def _signed(violations: Array) -> Array:
    """Violations, with a value below 0 for the feasible that sets them as far off as most."""
    broken = violations > _TOLERANCE
    if not broken.any():
        return np.zeros_like(violations)
    return np.where(broken, violations, -np.median(violations[broken]))
