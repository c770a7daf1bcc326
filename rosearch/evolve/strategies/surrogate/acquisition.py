"""Which of the predicted genomes to evaluate next."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rosearch.evolve.strategies.surrogate.gaussian import Array, normal_cdf
from rosearch.evolve.strategies.surrogate.prediction import Prediction

_DRAWS = 64
"""Samples of the posterior of several objectives."""


def promising_order(
    prediction: Prediction, exploration: float, rng: np.random.Generator
) -> list[int]:
    """Indices of the predicted genomes, the most promising first.

    Args:
        prediction: Predictions for the genomes.
        exploration: Factor on the standard deviations.
        rng: Draws the weights and samples of several objectives.
    """
    deviation = exploration * prediction.deviation
    if prediction.mean.shape[1] == 1:
        mean, best = prediction.mean[:, 0], prediction.reached.max(initial=-np.inf)
        low = prediction.low[0]
        better = improvement(mean - best, deviation[:, 0])
    else:
        weighed = chebyshev(prediction, rng.dirichlet(np.ones(prediction.mean.shape[1])))
        mean, best = weighed(prediction.mean), weighed(prediction.reached).max(initial=-np.inf)
        low = weighed(prediction.low)
        draws = rng.standard_normal((_DRAWS, 1, prediction.mean.shape[1]))
        samples = weighed(prediction.mean + deviation * draws)
        better = np.maximum(samples - best, 0.0).mean(axis=0)
    # Without a feasible trial there is nothing to improve on.
    worth = prediction.feasible * (better if len(prediction.reached) else 1.0)
    # Ties, such as no expected improvement, go to the highest mean of the likely feasible.
    good = prediction.feasible * np.maximum(mean - low, 0.0)
    order: list[int] = np.lexsort((-mean, -good, -worth)).tolist()
    return order


def improvement(above: Array, deviation: Array) -> Array:
    """Expected positive part of normal variables with these means and standard deviations."""
    deviation = np.maximum(deviation, 1e-12)
    z = above / deviation
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    expected: Array = np.maximum(above * normal_cdf(z) + deviation * density, 0.0)
    return expected


def chebyshev(prediction: Prediction, weights: Array) -> Callable[[Array], Array]:
    """The augmented Chebyshev scalarization of ParEGO; larger is better.

    Args:
        prediction: Has the range of each objective.
        weights: Weights of the objectives, shape ``(objectives,)``.

    Returns:
        A function from objectives of shape ``(..., objectives)`` to numbers of shape ``(...)``.
    """
    spread = prediction.high - prediction.low
    scale = weights / np.where(spread > 0, spread, 1.0)

    def weighed(points: Array) -> Array:
        short = (points - prediction.high) * scale
        result: Array = short.min(axis=-1) + 0.05 * short.sum(axis=-1)
        return result

    return weighed
