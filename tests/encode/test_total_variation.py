"""Total variation smoothing against solutions in closed form and a direct search."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rosearch.encode.total_variation import smoothed
from rosearch.seeding import generator


def chain(values: list[list[float]], weights: list[float], bounds: list[float]) -> np.ndarray:
    edges = np.array([[i, i + 1] for i in range(len(values) - 1)])
    return smoothed(np.array(values), np.array(weights), edges, np.array(bounds), tolerance=1e-12)


def test_two_nodes_move_towards_each_other_by_bound_over_weight_until_they_meet() -> None:
    apart = chain([[0.0], [3.0]], [1.0, 2.0], [0.5])
    assert apart == pytest.approx(np.array([[0.5], [2.75]]), abs=1e-5)
    joined = chain([[0.0], [3.0]], [1.0, 2.0], [2.5])
    assert joined == pytest.approx(np.array([[2.0], [2.0]]), abs=1e-5)


def test_vectors_move_along_their_difference() -> None:
    apart = chain([[0.0, 0.0], [3.0, 4.0]], [1.0, 1.0], [1.0])
    assert apart == pytest.approx(np.array([[0.6, 0.8], [2.4, 3.2]]), abs=1e-5)


def test_a_path_of_three_nodes() -> None:
    # The middle one joins the first, and the pull of the last is shared by both.
    found = chain([[0.0], [0.2], [2.0]], [1.0, 1.0, 1.0], [1.0, 0.3])
    assert found == pytest.approx(np.array([[0.25], [0.25], [1.7]]), abs=1e-5)


def test_random_graphs_agree_with_the_best_of_all_partitions() -> None:
    rng = generator(0, "graphs")
    pairs = list(itertools.combinations(range(5), 2))
    for _ in range(5):
        edges = np.array([pair for pair in pairs if rng.random() < 0.6] or pairs)
        values, weights = rng.normal(size=5), rng.uniform(0.1, 2, 5)
        bounds = rng.uniform(0.05, 0.5, len(edges))
        found = smoothed(values[:, None], weights, edges, bounds, tolerance=1e-12)[:, 0]
        assert objective(found, values, weights, edges, bounds) == pytest.approx(
            best_objective(values, weights, edges, bounds), abs=1e-6
        )


def objective(x, values, weights, edges, bounds) -> float:  # type: ignore[no-untyped-def]
    differences = np.abs(x[edges[:, 0]] - x[edges[:, 1]])
    return float((weights * (x - values) ** 2).sum() / 2 + (bounds * differences).sum())


def best_objective(values, weights, edges, bounds) -> float:  # type: ignore[no-untyped-def]
    """The best over all weak orders of the nodes, each of which fixes the sign of every edge."""
    best = np.inf
    for ranks in itertools.product(range(len(values)), repeat=len(values)):
        levels = np.array(ranks)
        if set(ranks) != set(range(max(ranks) + 1)):
            continue
        signs = np.sign(levels[edges[:, 0]] - levels[edges[:, 1]])
        pull = np.zeros(len(values))
        np.add.at(pull, edges[:, 0], bounds * signs)
        np.add.at(pull, edges[:, 1], -bounds * signs)
        shared = np.bincount(levels, weights * values - pull) / np.bincount(levels, weights)
        best = min(best, objective(shared[levels], values, weights, edges, bounds))
    return float(best)


def test_the_result_does_not_depend_on_the_unit_of_values_or_weights() -> None:
    rng = generator(0, "units")
    edges = np.array(list(itertools.combinations(range(8), 2)))
    values, weights = rng.normal(size=(8, 2)), rng.uniform(0.01, 100, 8)
    bounds = rng.uniform(0.1, 5, len(edges))
    plain = smoothed(values, weights, edges, bounds, tolerance=1e-10)
    scaled = smoothed(1000 * values, weights / 7, edges, bounds * 1000 / 7, tolerance=1e-10)
    assert scaled / 1000 == pytest.approx(plain, abs=1e-3)


def test_without_edges_nothing_moves() -> None:
    values = np.array([[1.0], [2.0]])
    found = smoothed(values, np.ones(2), np.empty((0, 2), dtype=int), np.empty(0))
    assert found.tolist() == values.tolist()
