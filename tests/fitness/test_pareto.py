"""Pareto order against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosearch.fitness import (
    crowding_distance,
    hypervolume_contributions,
    non_dominated_ranks,
    pareto_front,
)
from tests.fitness.reference import beats, hypervolume

# Few distinct numbers, so that ties and equal points are common.
NUMBERS = st.sampled_from([0.0, 1.0, 2.0, 3.0, -1.5, np.inf, -np.inf, np.nan])
FINITE = st.integers(0, 5).map(float)
COLUMNS = st.integers(1, 4)


def matrices(numbers, columns=COLUMNS, rows=12):
    return columns.flatmap(
        lambda m: st.lists(st.lists(numbers, min_size=m, max_size=m), min_size=1, max_size=rows)
    )


@given(matrices(NUMBERS))
def test_front_is_the_set_of_non_dominated_points(values):
    expected = [not any(np.isnan(p)) and not any(beats(q, p) for q in values) for p in values]
    assert pareto_front(values).tolist() == expected


@given(matrices(NUMBERS))
def test_ranks_number_the_fronts_one_after_another(values):
    ranks = non_dominated_ranks(values)
    left = list(range(len(values)))
    rank = 0
    while left:
        front = [i for i in left if not any(beats(values[j], values[i]) for j in left)]
        if all(any(np.isnan(values[i])) for i in left):
            front = left
        assert {i for i in left if ranks[i] == rank} == set(front)
        left = [i for i in left if i not in front]
        rank += 1


def brute_crowding(values):
    """Deb et al. (2002), written with loops."""
    points = np.array(values)
    distance = np.zeros(len(points))
    for m in range(points.shape[1]):
        order = sorted(range(len(points)), key=lambda i: points[i, m])
        low, high = points[order[0], m], points[order[-1], m]
        if low == high:
            continue
        distance[order[0]] = distance[order[-1]] = np.inf
        for k in range(1, len(order) - 1):
            gap = points[order[k + 1], m] - points[order[k - 1], m]
            distance[order[k]] += gap / (high - low)
    return distance


@given(matrices(FINITE))
def test_crowding_distance_equals_a_plain_implementation(values):
    np.testing.assert_allclose(crowding_distance(values), brute_crowding(values))


def test_crowding_distance_ignores_points_with_nan():
    clean = [[0.0, 3.0], [1.0, 2.0], [3.0, 0.0]]
    with_nan = [*clean, [np.nan, 1.0]]
    np.testing.assert_array_equal(crowding_distance(with_nan), [*crowding_distance(clean), 0.0])


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="shape"):
        pareto_front([1.0, 2.0])
    with pytest.raises(ValueError, match="finite where they are above"):
        hypervolume_contributions([[np.inf, 1.0]], np.zeros(2))
    with pytest.raises(ValueError, match="reference must be of shape"):
        hypervolume_contributions([[1.0, 2.0]], [0.0])


def test_front_of_no_points_is_empty():
    assert pareto_front([]).shape == (0,)
    assert non_dominated_ranks(np.zeros((0, 3))).shape == (0,)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4, 5])
def test_contributions_are_the_loss_of_hypervolume(objectives):
    rng = np.random.default_rng(objectives)
    for count in (1, 2, 5, 12):
        points = rng.integers(-1, 6, size=(count, objectives)).astype(float)  # with equal ones
        points[rng.random(count) < 0.15] = np.nan
        corner = np.zeros(objectives)
        whole = hypervolume(points, corner)
        lost = [whole - hypervolume(np.delete(points, i, 0), corner) for i in range(count)]
        np.testing.assert_allclose(hypervolume_contributions(points, corner), lost, atol=1e-9)


def test_contributions_by_hand():
    points = [[1.0, 3.0], [2.0, 2.0], [3.0, 1.0], [0.5, 0.5], [2.0, 2.0]]
    np.testing.assert_allclose(hypervolume_contributions(points, [0, 0]), [1, 0, 1, 0, 0])
    np.testing.assert_allclose(hypervolume_contributions(points[:4], [0, 0]), [1, 1, 1, 0])
    assert hypervolume_contributions(np.zeros((0, 2)), [0, 0]).shape == (0,)
