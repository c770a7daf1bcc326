"""A Gaussian process over groups of features, for a few hundred observations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_STEPS = 8
"""Steps of the optimization of hyperparameters."""
_JITTER = 1e-6
_MIN_SPREAD = 1e-12
"""Numbers that differ by less count as equal."""


@dataclass(frozen=True)
class Hyperparameters:
    """Hyperparameters of :class:`GaussianProcess`, as logarithms.

    Attributes:
        weights: Inverse squared length scale of each group of features.
        linear: Variance of the linear part, relative to that of the smooth part.
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
        matrix: Features of shape ``(rows, columns)``.
        groups: Group of each column, shape ``(columns,)``.
        count: Number of groups.
    """

    def __init__(self, matrix: Array, groups: npt.NDArray[np.int64], count: int) -> None:
        self._members = [np.flatnonzero(groups == group) for group in range(count)]
        self._mean = matrix.mean(axis=0)
        centred = matrix - self._mean
        self._scale = [_scale(centred[:, m], matrix[:, m]) for m in self._members]
        self.rows = self.blocks(matrix)

    def blocks(self, matrix: Array) -> list[Array]:
        """Rows as one matrix for each group, centred and scaled like the first rows."""
        centred = matrix - self._mean
        return [centred[:, m] * s for m, s in zip(self._members, self._scale, strict=True)]

    def scaled(self, squares: Array) -> Array:
        """Scale sums of squares of features by group, shape ``(rows, groups)``."""
        result: Array = squares * np.square(self._scale)
        return result


def _scale(centred: Array, given: Array) -> float:
    """Factor that makes the mean squared norm of a group's rows 1.

    Of equal rows, whose centred norm is 0, the norm itself counts, so that another row is not
    taken to be equal to them. The factor is 1 for rows of zeros.
    """
    for rows in (centred, given):
        norm = float((rows**2).sum(axis=1).mean())
        if norm > _MIN_SPREAD:
            return 1 / math.sqrt(norm)
    return 1.0


def products(a: list[Array], b: list[Array]) -> tuple[Array, Array]:
    """Inner products and halved squared distances, both (groups, rows of a, rows of b)."""
    inner = np.stack([x @ y.T for x, y in zip(a, b, strict=True)])
    squares = [
        ((x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1)[None, :]) / 2
        for x, y in zip(a, b, strict=True)
    ]
    return inner, np.maximum(np.stack(squares) - inner, 0.0)


def _parts(inner: Array, apart: Array, values: Hyperparameters) -> tuple[Array, Array]:
    """The smooth part of the covariance, and the linear one before its factor."""
    weights = np.exp(values.weights)
    shape = inner.shape[1:]
    smooth = np.exp(-(weights @ apart.reshape(len(weights), -1)))
    linear = (weights / weights.sum()) @ inner.reshape(len(weights), -1)
    return smooth.reshape(shape), linear.reshape(shape)


def covariance(inner: Array, apart: Array, values: Hyperparameters) -> Array:
    """``exp(-sum of weight times distance) + linear * weighted mean of inner products``."""
    smooth, linear = _parts(inner, apart, values)
    result: Array = smooth + np.exp(values.linear) * linear
    return result


def normal_cdf(values: Array) -> Array:
    """Cumulative distribution function of the standard normal distribution."""
    return np.array([math.erfc(-value / math.sqrt(2)) / 2 for value in values.tolist()])


class GaussianProcess:
    """Regression with a smooth and a linear covariance over groups of features.

    Rasmussen and Williams (2006), "Gaussian Processes for Machine Learning", algorithm 2.1. Each
    group has one weight, so a few dozen observations suffice to fit them. They maximize the
    marginal likelihood times a prior (chapter 5.4), by a few steps of Rprop (Riedmiller and Braun
    1993) from the mean of the prior. All targets share the hyperparameters.

    Args:
        features: Features of the observations.
        targets: Shape ``(observations, targets)``.
        prior: Mean of the prior.
        between: Factor on the covariance of each pair of observations, shape ``(observations,
            observations)``, positive semi-definite.
        values: Hyperparameters, if they are known.
        repeats: Measurements that each target is the mean of, shape ``(observations,)``: the noise
            of a mean of n has an nth of the variance.
    """

    def __init__(
        self,
        features: Features,
        targets: Array,
        *,
        prior: Hyperparameters,
        between: Array | float = 1.0,
        values: Hyperparameters | None = None,
        repeats: Array | float = 1.0,
    ) -> None:
        self.features = features
        self._shares = np.broadcast_to(1.0 / np.asarray(repeats, dtype=np.float64), len(targets))
        count = len(targets)
        self._mean = targets.mean(axis=0)
        spread = targets.std(axis=0)
        self._spread = np.where(spread > _MIN_SPREAD, spread, 1.0)
        self._targets = (targets - self._mean) / self._spread
        self._varying = self._targets[:, spread > _MIN_SPREAD]
        self._between = between
        self._inner, self._apart = products(features.rows, features.rows)
        self.values = values or self._fit(prior)
        kernel = covariance(self._inner, self._apart, self.values) * between
        self._inverse = np.linalg.inv(np.linalg.cholesky(self._noisy(kernel, self.values)))
        self._weights = self._inverse.T @ (self._inverse @ self._targets)
        # The maximum-likelihood scale of the covariance, for each target.
        self._scale = (self._targets * self._weights).sum(axis=0) / count

    def predict(
        self, matrix: Array, between: Array | float = 1.0, unseen: Array | None = None
    ) -> tuple[Array, Array]:
        """Mean and standard deviation of the function, without noise.

        Args:
            matrix: Features of shape ``(rows, columns)``.
            between: Factor on the covariance of each row with each observation, shape
                ``(observations,)``.
            unseen: Sums of squares of features that are 0 in all observations, by group, shape
                ``(rows, groups)``.

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
        cross = covariance(inner, apart, self.values) * between
        mean = cross @ self._weights * self._spread + self._mean
        weights = np.exp(self.values.weights)
        own = squares @ (weights / weights.sum())
        prior = 1 + np.exp(self.values.linear) * own
        known = ((self._inverse @ cross.T) ** 2).sum(axis=0)
        deviation = np.sqrt(np.maximum(prior - known, 1e-9))
        return mean, deviation[:, None] * np.sqrt(self._scale) * self._spread

    def _fit(self, prior: Hyperparameters) -> Hyperparameters:
        if not self._varying.size:
            return prior
        middle = prior.array()
        values, step = middle.copy(), np.full(len(middle), 0.4)
        best, highest, before = values, -np.inf, np.zeros(len(middle))
        for _ in range(_STEPS):
            likelihood, slope = self.likelihood(Hyperparameters.of(values))
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

    def likelihood(self, values: Hyperparameters) -> tuple[float, Array]:
        """Log marginal likelihood at its best scale, and its gradient, ``(groups + 2,)``."""
        weights = np.exp(values.weights)
        count, targets = self._varying.shape
        smooth, straight = _parts(self._inner, self._apart, values)
        linear = np.exp(values.linear)
        kernel: Array = (smooth + linear * straight) * self._between
        factor = np.linalg.inv(np.linalg.cholesky(self._noisy(kernel, values)))
        inverse = factor.T @ factor
        solved = inverse @ self._varying
        scale = (self._varying * solved).sum(axis=0) / count
        # Half the gradient of the likelihood with respect to the covariance matrix.
        slope: Any = ((solved / scale) @ solved.T - targets * inverse) / 2
        noise = float(np.exp(values.noise) * (np.diag(slope) * self._shares).sum())
        slope = slope * self._between
        by_linear = float((slope * straight).sum())
        by_smooth = -weights * (self._apart.reshape(len(weights), -1) @ (slope * smooth).ravel())
        by_inner = self._inner.reshape(len(weights), -1) @ slope.ravel()
        by_straight = linear * (weights / weights.sum()) * (by_inner - by_linear)
        gradient = np.array([*(by_smooth + by_straight), linear * by_linear, noise])
        likelihood = float(
            targets * np.log(np.diag(factor)).sum() - count / 2 * np.log(scale).sum()
        )
        return likelihood, gradient

    def _noisy(self, kernel: Array, values: Hyperparameters) -> Array:
        noisy: Array = kernel.copy()
        noisy[np.diag_indices_from(noisy)] += np.exp(values.noise) * self._shares + _JITTER
        return noisy
