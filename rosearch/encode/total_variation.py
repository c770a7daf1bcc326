"""Smoothing of vectors on a graph by total variation."""

from __future__ import annotations

import numpy as np

_CHECKED_EVERY = 25
_MAX_STEPS = 20_000


def smoothed(
    values: np.ndarray,
    weights: np.ndarray,
    edges: np.ndarray,
    bounds: np.ndarray,
    *,
    tolerance: float = 1e-6,
) -> np.ndarray:
    r"""Minimise :math:`\sum_i w_i |x_i - v_i|^2 / 2 + \sum_{ij} b_{ij} |x_i - x_j|` over ``x``.

    By the preconditioned primal-dual method of Chambolle and Pock (Pock and Chambolle, ICCV 2011),
    until the duality gap is a small share of the objective. Vectors that are joined become exactly
    equal where that costs little, as in the fused lasso.

    Args:
        values: The vectors ``v``, float64 ``(nodes, width)``.
        weights: Weights ``w`` of the nodes, above 0, ``(nodes,)``.
        edges: Rows of the two ends of each edge, ``(edges, 2)``.
        bounds: Weights ``b`` of the edges, above 0, ``(edges,)``.
        tolerance: Duality gap at which it stops, as a share of the objective.

    Returns:
        ``x``, ``(nodes, width)``.
    """
    x: np.ndarray = values
    if not len(edges):
        return x
    size = len(values)
    (first, second), masses = edges.T, weights[:, None]

    def summed(flows: np.ndarray) -> np.ndarray:
        # The transpose of the differences along edges.
        columns = [np.bincount(first, c, size) - np.bincount(second, c, size) for c in flows.T]
        return np.stack(columns, axis=1)

    # Steps of the dual that are proportional to its bounds suit all strengths of smoothing alike;
    # steps of the primal are the largest for which the method converges.
    pace = 2 * weights.sum() / bounds.sum()
    degrees = np.bincount(edges.ravel(), np.repeat(bounds, 2), size)
    steps = 1 / (2 * pace * np.maximum(degrees, np.finfo(float).tiny))[:, None]
    ahead = x
    flows = np.zeros((len(edges), values.shape[1]))  # the dual variables, as shares of the bounds
    for number in range(1, _MAX_STEPS + 1):
        flows += pace * (ahead[first] - ahead[second])
        flows /= np.maximum(1.0, _lengths(flows))[:, None]
        pull = summed(bounds[:, None] * flows)
        before = x
        x = (x - steps * pull + steps * masses * values) / (1 + steps * masses)
        ahead = 2 * x - before
        if number % _CHECKED_EVERY == 0:
            loss = (masses * (x - values) ** 2).sum() / 2
            primal = loss + (bounds * _lengths(x[first] - x[second])).sum()
            dual = (pull * values - pull**2 / masses / 2).sum()
            if primal - dual <= tolerance * primal:
                break
    return x


def _lengths(vectors: np.ndarray) -> np.ndarray:
    lengths: np.ndarray = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return lengths
