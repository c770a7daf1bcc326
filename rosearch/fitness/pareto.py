"""Pareto dominance: fronts, ranks, crowding distance and contributions to the hypervolume.

Every function takes ``values`` of shape ``(points, objectives)``, larger is better; negate an
objective that is minimized. A point with a NaN is worse than every point without one: it dominates
nothing, is never on the front and has the last rank.
"""

from __future__ import annotations

from typing import Any

import moocore
import numpy as np
import numpy.typing as npt

from rosearch.checks import refused


def pareto_front(values: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which points no other point dominates.

    Equal points do not dominate each other, so all copies of a front point are on the front.

    Args:
        values: Shape ``(points, objectives)``, larger is better.

    Returns:
        Mask of shape ``(points,)``.
    """
    points = _matrix(values)
    valid = ~np.isnan(points).any(axis=1)
    front: npt.NDArray[np.bool_] = valid & (non_dominated_ranks(points) == 0)
    return front


def non_dominated_ranks(values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Front number of every point: 0 for the front, 1 for the front of the rest, and so on.

    Non-dominated sorting of Deb et al. (2002), "A fast and elitist multiobjective genetic
    algorithm: NSGA-II", section III.A.

    Args:
        values: Shape ``(points, objectives)``, larger is better.

    Returns:
        Ranks of shape ``(points,)``. Points with NaN share the last rank, after all others.
    """
    points = _matrix(values)
    valid = ~np.isnan(points).any(axis=1)
    ranks = np.zeros(len(points), dtype=np.int64)
    if valid.any():
        # moocore crashes on infinite values; the places in sorted order give the same ranks.
        places = [np.unique(column, return_inverse=True)[1] for column in points[valid].T]
        ranks[valid] = moocore.pareto_rank(np.column_stack(places).astype(float), maximise=True)
        ranks[~valid] = ranks.max() + 1
    return ranks


def crowding_distance(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Crowding distance of every point of a front; larger means fewer points nearby.

    Deb et al. (2002), section III.B: per objective the gap between the two neighbours, divided by
    the range of that objective; the outermost points get infinity. An objective in which all points
    are equal adds nothing.

    Args:
        values: The points of one front, shape ``(points, objectives)``.

    Returns:
        Distances of shape ``(points,)``; 0 for points with NaN.
    """
    points = _matrix(values)
    distance = np.zeros(len(points))
    valid = np.flatnonzero(~np.isnan(points).any(axis=1))
    for column in points[valid].T:
        order = np.argsort(column, kind="stable")
        ranked, places = column[order], valid[order]
        if not len(ranked) or not ranked[-1] > ranked[0]:
            continue
        spread = ranked[-1] - ranked[0]
        distance[places[[0, -1]]] = np.inf
        if np.isfinite(spread):
            distance[places[1:-1]] += (ranked[2:] - ranked[:-2]) / spread
    return distance


def hypervolume_contributions(
    values: npt.ArrayLike, reference: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Volume that each point alone dominates: the loss of hypervolume without it.

    Args:
        values: Shape ``(points, objectives)``, larger is better. Points with NaN, points that are
            not above the reference in every objective, and copies of a point contribute nothing.
        reference: Lower corner, finite, shape ``(objectives,)``.

    Returns:
        Contributions of shape ``(points,)``.

    Raises:
        ArgumentError: The shapes differ, or the reference or a point above it is not finite.
    """
    points = _matrix(values)
    corner = np.asarray(reference, dtype=float)
    if len(points) and points.shape[1:] != corner.shape:
        raise refused("reference", f"of shape ({points.shape[1]},) like the points", reference)
    if not np.isfinite(corner).all():
        raise refused("reference", "finite", reference)
    mask = np.all(points > corner, axis=1)
    above = (points - corner)[mask]
    if not np.isfinite(above).all():
        raise refused("values", "finite where they are above a finite reference", values)
    contributions = np.zeros(len(mask))
    if len(above):
        if above.shape[1] == 1:  # moocore wants two objectives
            above = np.column_stack([above, np.ones(len(above))])
        origin = np.zeros(above.shape[1])
        contributions[mask] = moocore.hv_contributions(
            above, origin, maximise=True, ignore_dominated=False
        )
    return contributions


def _matrix(values: npt.ArrayLike) -> npt.NDArray[Any]:
    points = np.asarray(values, dtype=float)
    if points.size == 0 and points.ndim < 2:
        return np.zeros((0, 1))
    if points.ndim != 2:
        raise refused("values", "of shape (points, objectives)", values)
    return points
