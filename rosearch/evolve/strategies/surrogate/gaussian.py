"""A small Gaussian process over groups of features, for a few hundred observations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_STEPS = 8
"""Steps of the search for hyperparameters."""
_JITTER = 1e-6


@dataclass(frozen=True)
class Hyperparameters:
    """Of :class:`GaussianProcess`, as logarithms.

    Attributes:
        weights: One a group of features: how fast the function changes along it.
        linear: Variance of the linear part, relative to that of the rest.
        noise: Variance of the noise, likewise.
    """

    weights: tuple[float, ...]
    linear: float
    noise: float

    def array(self) -> Array:
        """All in one array of shape ``(groups + 2,)``."""
        return np.array([*self.weights, self.linear, self.noise])

    @classmethod
    def of(cls, values: Array) -> Hyperparameters:
        """Inverse of :meth:`array`."""
        *weights, linear, noise = map(float, values)
        return cls(tuple(weights), linear, noise)


class Features:
    """Rows of features in groups, centred and scaled so that every group counts the same.

    Args:
        matrix: Shape ``(rows, columns)``.
        groups: Number of each column's group, shape ``(columns,)``.
        count: Number of groups.
    """

    def __init__(self, matrix: Array, groups: npt.NDArray[np.int64], count: int) -> None:
        self.count = count
        self._members = [np.flatnonzero(groups == group) for group in range(count)]
        self._middle = matrix.mean(axis=0)
        centred = matrix - self._middle
        self._scale = [_scale(centred[:, m], matrix[:, m]) for m in self._members]
        self.rows = self.blocks(matrix)

    def blocks(self, matrix: Array) -> list[Array]:
        """Rows as the features of each group, scaled like the rows that were given first."""
        centred = matrix - self._middle
        return [centred[:, m] * s for m, s in zip(self._members, self._scale, strict=True)]

    def scaled(self, squares: Array) -> Array:
        """Sums of squares by group, shape ``(rows, groups)``, as if of scaled features."""
        result: Array = squares * np.square(self._scale)
        return result


def _scale(centred: Array, given: Array) -> float:
    """What makes the mean square of a group's rows 1.

    Rows that are all equal tell no distance. Their own length is one then, and 1 where they are 0,
    so that a row that differs from all of them is not taken to be the same.
    """
    for rows in (centred, given):
        norm = float((rows**2).sum(axis=1).mean())
        if norm > 1e-12:
            return 1 / math.sqrt(norm)
    return 1.0


def products(a: list[Array], b: list[Array]) -> tuple[Array, Array]:
    """Inner products and halved squared distances by group, both (groups, rows of a, rows of b)."""
    inner = np.stack([x @ y.T for x, y in zip(a, b, strict=True)])
    squares = [
        ((x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1)[None, :]) / 2
        for x, y in zip(a, b, strict=True)
    ]
    return inner, np.maximum(np.stack(squares) - inner, 0.0)


def covariance(inner: Array, apart: Array, values: Hyperparameters) -> Array:
    """``exp(-sum of weight times distance) + linear * weighted mean of inner products``."""
    weights = np.exp(values.weights)
    shape = inner.shape[1:]
    smooth = np.exp(-(weights @ apart.reshape(len(weights), -1)))
    straight = (weights / weights.sum()) @ inner.reshape(len(weights), -1)
    result: Array = (smooth + np.exp(values.linear) * straight).reshape(shape)
    return result


def cumulative(values: Array) -> Array:
    """Distribution function of the standard normal distribution."""
    return np.array([math.erfc(-value / math.sqrt(2)) / 2 for value in values.tolist()])


class GaussianProcess:
    """Regression with a covariance of a smooth and a linear part over groups of features.

    Rasmussen and Williams (2006), "Gaussian Processes for Machine Learning", algorithm 2.1. Each
    group has one weight, so that a few dozen observations are enough to find all; they maximise the
    marginal likelihood times a prior (chapter 5.4), by a few steps of Rprop (Riedmiller and Braun
    1993) from the prior's middle. Several targets share the hyperparameters.

    Args:
        features: Of the observations.
        targets: Shape ``(observations, targets)``.
        prior: Middle of the prior.
        between: Factor on the covariance of each two, shape ``(observations, observations)``,
            positive semi-definite; 1 if omitted.
        values: Hyperparameters, where they are known already.
    """

    def __init__(
        self,
        features: Features,
        targets: Array,
        *,
        prior: Hyperparameters,
        between: Array | None = None,
        values: Hyperparameters | None = None,
    ) -> None:
        self.features = features
        count = len(targets)
        self._middle = targets.mean(axis=0)
        spread = targets.std(axis=0)
        self._spread = np.where(spread > 1e-12, spread, 1.0)
        self._targets = (targets - self._middle) / self._spread
        self._varying = self._targets[:, spread > 1e-12]
        self._between = between
        self._inner, self._apart = products(features.rows, features.rows)
        self.values = values or self._fitted(prior)
        kernel = self._covariance(self.values)
        self._factor = np.linalg.cholesky(kernel)
        self._inverse = np.linalg.inv(self._factor)
        self._weights = self._inverse.T @ (self._inverse @ self._targets)
        # The scale of the covariance that is likeliest, one a target.
        self._scale = (self._targets * self._weights).sum(axis=0) / count

    def predict(
        self, matrix: Array, between: Array | None = None, unseen: Array | None = None
    ) -> tuple[Array, Array]:
        """Mean and standard deviation of the function, without noise.

        Args:
            matrix: Features of shape ``(rows, columns)``.
            between: Factor on the covariance of each row with each observation, shape
                ``(observations,)`` as it is the same for all rows.
            unseen: Sums of the squares of further features, which are 0 in all observations, by
                group, shape ``(rows, groups)``: they set a row apart from all of them.

        Returns:
            Both of shape ``(rows, targets)``.
        """
        blocks = self.features.blocks(matrix)
        inner, apart = products(blocks, self.features.rows)
        squares = np.stack([(block**2).sum(axis=1) for block in blocks], axis=1)
        if unseen is not None:
            more = self.features.scaled(unseen)
            squares += more
            apart += more.T[:, :, None] / 2
        cross = covariance(inner, apart, self.values)
        if between is not None:
            cross = cross * between
        mean = cross @ self._weights * self._spread + self._middle
        weights = np.exp(self.values.weights)
        own = squares @ (weights / weights.sum())
        prior = 1 + np.exp(self.values.linear) * own
        known = ((self._inverse @ cross.T) ** 2).sum(axis=0)
        deviation = np.sqrt(np.maximum(prior - known, 1e-9))
        return mean, deviation[:, None] * np.sqrt(self._scale) * self._spread

    def _covariance(self, values: Hyperparameters) -> Array:
        kernel = covariance(self._inner, self._apart, values)
        if self._between is not None:
            kernel = kernel * self._between
        return self._noisy(kernel, values)

    def _noisy(self, kernel: Array, values: Hyperparameters) -> Array:
        kernel = kernel.copy()
        kernel[np.diag_indices_from(kernel)] += np.exp(values.noise) + _JITTER
        return kernel

    def _fitted(self, prior: Hyperparameters) -> Hyperparameters:
        if not self._varying.size:
            return prior
        middle = prior.array()
        values, step = middle.copy(), np.full(len(middle), 0.4)
        best, highest, before = values, -np.inf, np.zeros(len(middle))
        for _ in range(_STEPS):
            likelihood, slope = self._likelihood(values)
            away = values - middle
            likelihood -= float(away @ away) / 2
            slope = slope - away
            if likelihood > highest:
                best, highest = values, likelihood
            agree = slope * before
            step = np.where(agree > 0, step * 1.2, np.where(agree < 0, step * 0.5, step))
            before = slope
            values = values + np.sign(slope) * step
        return Hyperparameters.of(best)

    def _likelihood(self, at: Array) -> tuple[float, Array]:
        """Logarithm of the marginal likelihood at its best scale, and its gradient."""
        values = Hyperparameters.of(at)
        weights = np.exp(values.weights)
        flat = self._apart.reshape(len(weights), -1)
        count, targets = self._varying.shape
        smooth = np.exp(-(weights @ flat)).reshape(count, count)
        share = weights / weights.sum()
        straight = (share @ self._inner.reshape(len(weights), -1)).reshape(count, count)
        linear = np.exp(values.linear)
        kernel: Array = smooth + linear * straight
        if self._between is not None:
            kernel = kernel * self._between
        factor = np.linalg.inv(np.linalg.cholesky(self._noisy(kernel, values)))
        inverse = factor.T @ factor
        solved = inverse @ self._varying
        scale = (self._varying * solved).sum(axis=0) / count
        # Half the gradient of the likelihood by the covariance matrix.
        slope: Any = ((solved / scale) @ solved.T - targets * inverse) / 2
        noise = float(np.exp(values.noise) * np.trace(slope))
        if self._between is not None:
            slope = slope * self._between
        by_smooth = -weights * (flat @ (slope * smooth).ravel())
        by_inner = self._inner.reshape(len(weights), -1) @ slope.ravel()
        by_straight = linear * share * (by_inner - float((slope * straight).sum()))
        gradient = np.array(
            [*(by_smooth + by_straight), linear * float((slope * straight).sum()), noise]
        )
        likelihood = float(
            targets * np.log(np.diag(factor)).sum() - count / 2 * np.log(scale).sum()
        )
        return likelihood, gradient
