"""Pareto order of many points: fronts, ranks, crowding, hypervolume.

Every function reads ``values`` of shape ``(points, objectives)`` in which larger is better; negate
an objective that is to be small. A point with a NaN in it is worse than every point without
one: it dominates nothing, is on no front and comes last. Infinities are ordinary values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.ArrayLike
"""Anything that numpy reads as a float array of shape (points, objectives)."""


def dominates(a: npt.ArrayLike, b: npt.ArrayLike) -> bool:
    """Whether ``a`` is at least as good as ``b`` everywhere and better somewhere.

    Args:
        a: One point, shape ``(objectives,)``.
        b: Another point of the same shape.
    """
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(
            f"Expected two points of one shape (objectives,), got {first.shape} and {second.shape}."
        )
    if np.isnan(first).any():
        return False
    if np.isnan(second).any():
        return True
    return bool((first >= second).all() and (first > second).any())


def pareto_front(values: Values) -> npt.NDArray[np.bool_]:
    """Which points no other point dominates.

    Equal points do not dominate each other, so all copies of a front point are on the front.

    Args:
        values: Shape ``(points, objectives)``, larger is better.

    Returns:
        Mask of shape ``(points,)``. Points with NaN are never on the front.
    """
    points = _matrix(values)
    usable = ~np.isnan(points).any(axis=1)
    front: npt.NDArray[np.bool_] = np.logical_and(usable, ~_domination(points).any(axis=0))
    return front


def non_dominated_ranks(values: Values) -> npt.NDArray[np.int64]:
    """Front number of every point: 0 for the front, 1 for the front of the rest, and so on.

    Non-dominated sorting of Deb et al. (2002), "A fast and elitist multiobjective genetic
    algorithm: NSGA-II", section III.A.

    Args:
        values: Shape ``(points, objectives)``, larger is better.

    Returns:
        Ranks of shape ``(points,)``. Points with NaN share the last rank, after all others.
    """
    points = _matrix(values)
    broken = np.isnan(points).any(axis=1)
    ranks = np.zeros(len(points), dtype=np.int64)
    dominated_by = _domination(points)
    left = ~broken
    rank = 0
    while left.any():
        front = left & ~dominated_by[left].any(axis=0)
        ranks[front] = rank
        left &= ~front
        rank += 1
    ranks[broken] = rank
    return ranks


def crowding_distance(values: Values) -> npt.NDArray[np.float64]:
    """How much room a point has among the points of its front; larger is lonelier.

    Equation of Deb et al. (2002), section III.B: per objective the gap between the two
    neighbours, divided by the range of that objective; the outermost points get infinity. An
    objective in which all points are equal adds nothing.

    Args:
        values: The points of one front, shape ``(points, objectives)``. With NaN among them
            the distances of those points are 0.

    Returns:
        Distances of shape ``(points,)``.
    """
    points = _matrix(values)
    distance = np.zeros(len(points))
    usable = np.flatnonzero(~np.isnan(points).any(axis=1))
    for column in points[usable].T:
        order = usable[np.argsort(column, kind="stable")]
        if len(order) == 0:
            break
        ranked = np.sort(column)
        spread = ranked[-1] - ranked[0]
        if not spread > 0:
            continue
        distance[order[[0, -1]]] = np.inf
        if np.isfinite(spread):
            distance[order[1:-1]] += (ranked[2:] - ranked[:-2]) / spread
    return distance


def hypervolume(values: Values, reference: npt.ArrayLike) -> float:
    """Volume that the points dominate, above ``reference``; exact for 1, 2 or 3 objectives.

    Args:
        values: Shape ``(points, objectives)``, larger is better. Points with NaN, and points
            that are not above the reference everywhere, add nothing.
        reference: The corner to measure from, shape ``(objectives,)``, finite.

    Returns:
        The volume, 0 when no point is above the reference.

    Raises:
        ValueError: The shapes differ, or there are more than three objectives.
    """
    points, corner = _above(values, reference)
    if len(points) == 0:
        return 0.0
    above = points[(points > corner).all(axis=1)] - corner
    if len(above) == 0:
        return 0.0
    if corner.size == 1:
        return float(above.max())
    if corner.size == 2:
        return _area(above)
    # Cut the volume into slabs between neighbouring heights of the third objective. The slab
    # below a height is covered by the area of all points at least that high.
    heights = np.unique(above[:, 2])
    below = np.concatenate([[0.0], heights[:-1]])
    return float(
        sum(
            (top - bottom) * _area(above[above[:, 2] >= top, :2])
            for top, bottom in zip(heights, below, strict=True)
        )
    )


def hypervolume_contributions(values: Values, reference: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Volume that each point alone dominates: what the hypervolume loses without it.

    Exact for 1 to 3 objectives. The points' coordinates cut the space into cells; a point's
    contribution is the volume of the cells that it alone covers. For n points of d objectives that
    takes n to the power of d + 1 additions of a byte, so a hundred points of three objectives are
    a matter of a tenth of a second.

    Args:
        values: Shape ``(points, objectives)``, larger is better. Points with NaN, points that are
            not above the reference everywhere, and copies of a point contribute nothing.
        reference: The corner to measure from, shape ``(objectives,)``, finite.

    Returns:
        Contributions of shape ``(points,)``.

    Raises:
        ValueError: The shapes differ, or there are more than three objectives.
    """
    points, corner = _above(values, reference)
    contributions = np.zeros(len(points))
    usable = np.flatnonzero((points > corner).all(axis=1))
    if not len(usable):
        return contributions
    above = points[usable] - corner
    edges = [np.unique(column) for column in above.T]
    tops = [np.searchsorted(e, column) + 1 for e, column in zip(edges, above.T, strict=True)]
    boxes = [tuple(slice(0, int(top)) for top in row) for row in zip(*tops, strict=True)]
    covered = np.zeros([len(e) for e in edges], dtype=np.int32)
    for box in boxes:
        covered[box] += 1
    volume = np.ones(())
    for axis in edges:
        volume = np.multiply.outer(volume, np.diff(axis, prepend=0.0))
    alone = np.where(covered == 1, volume, 0.0)
    contributions[usable] = [alone[box].sum() for box in boxes]
    return contributions


def _above(values: Values, reference: npt.ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Points and reference, checked for an exact hypervolume."""
    points = _matrix(values)
    corner = np.asarray(reference, dtype=float)
    if corner.ndim != 1 or not np.isfinite(corner).all():
        raise ValueError(f"Expected a finite reference of shape (objectives,), got {corner}.")
    if len(points) and points.shape[1:] != corner.shape:
        raise ValueError(
            f"Expected a reference with {points.shape[1]} objectives, got {corner.size}."
        )
    if len(points) and corner.size > 3:
        raise ValueError(f"The hypervolume is exact for 1 to 3 objectives, got {corner.size}.")
    return points, corner


def _area(above: npt.NDArray[Any]) -> float:
    """Area between the origin and points of shape (points, 2), all positive."""
    order = np.lexsort((-above[:, 1], -above[:, 0]))
    x, y = above[order, 0], np.maximum.accumulate(above[order, 1])
    # Going from the largest x down, each step adds a strip as wide as the gap to the next x.
    return float(np.sum((x - np.append(x[1:], 0.0)) * y))


def _domination(points: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Matrix of shape (points, points): whether the row's point dominates the column's."""
    count = len(points)
    at_least = np.ones((count, count), dtype=bool)
    better = np.zeros((count, count), dtype=bool)
    for column in points.T:
        at_least &= column[:, None] >= column[None, :]
        better |= column[:, None] > column[None, :]
    broken = np.isnan(points).any(axis=1)
    result = at_least & better
    result[~broken[:, None] & broken[None, :]] = True
    return result


def _matrix(values: Values) -> npt.NDArray[Any]:
    points = np.asarray(values, dtype=float)
    if points.size == 0 and points.ndim < 2:
        return np.zeros((0, 1))
    if points.ndim != 2:
        raise ValueError(f"Expected values of shape (points, objectives), got {points.shape}.")
    return points
