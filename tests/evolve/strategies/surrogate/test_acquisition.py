"""The order in which predicted genomes are evaluated."""

from __future__ import annotations

import numpy as np
import pytest

from rosearch.evolve.strategies.surrogate import acquisition
from rosearch.evolve.strategies.surrogate.acquisition import chebyshev, improvement, promising_order
from rosearch.evolve.strategies.surrogate.prediction import (
    Prediction,
)
from rosearch.seeding import generator


def test_expected_improvement_equals_a_monte_carlo_estimate():
    rng = np.random.default_rng(0)
    above, deviation = np.array([-1.0, -0.2, 0.0, 0.3, 2.0]), np.array([0.5, 0.5, 1.0, 0.1, 1.0])
    draws = above + deviation * rng.standard_normal((400_000, 1))
    wanted = np.maximum(draws, 0).mean(axis=0)
    np.testing.assert_allclose(improvement(above, deviation), wanted, atol=5e-3)
    assert improvement(np.array([0.5, -0.5]), np.zeros(2)) == pytest.approx([0.5, 0.0])


def prediction(mean, *, deviation=0.0, feasible=1.0, reached=((1.0,),)):
    mean = np.array(mean, dtype=np.float64)
    return Prediction(
        mean,
        np.broadcast_to(np.array(deviation, dtype=np.float64), mean.shape),
        np.broadcast_to(np.array(feasible, dtype=np.float64), len(mean)),
        np.array(reached, dtype=np.float64).reshape(-1, mean.shape[1]),
        np.zeros(mean.shape[1]),
        np.ones(mean.shape[1]),
    )


def order(found, exploration=1.0):
    return promising_order(found, exploration, generator(0))


def test_order_by_expected_improvement_times_feasibility():
    assert order(prediction([[1.1], [1.3], [1.2]])) == [1, 2, 0]
    assert order(prediction([[1.1], [1.3], [1.2]], feasible=[0.9, 0.1, 0.9])) == [2, 0, 1]
    # A mean below the best with room above is worth more than one that is just there.
    unsure = prediction([[1.0], [0.9]], deviation=[[0.01], [0.5]])
    assert order(unsure) == [1, 0]
    assert order(unsure, exploration=0.0) == [0, 1]
    # Nothing is feasible yet: what most likely will be, then the higher mean.
    nothing = prediction([[0.9], [0.1], [0.2]], feasible=[0.2, 0.8, 0.8], reached=())
    assert order(nothing) == [2, 1, 0]


@pytest.mark.parametrize("objectives", [1, 2])
def test_feasible_genomes_come_first_without_improvement(objectives):
    found = prediction(
        [[0.5] * objectives, [0.4] * objectives, [0.3] * objectives],
        feasible=[0.0, 0.9, 1.0],
        reached=[[1.0] * objectives],
    )
    assert order(found, exploration=0.0) == [1, 2, 0]


def test_augmented_chebyshev_scalarization():
    weighed = chebyshev(prediction([[0.0, 0.0]], reached=()), np.array([0.25, 0.75]))
    # Short of the best by 0.2 and 0.4 of the range, times the weights.
    np.testing.assert_allclose(weighed(np.array([0.8, 0.6])), -0.3 + 0.05 * (-0.05 - 0.3))
    points = weighed(np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]))
    assert points.argmax() == 0
    assert points[1] < points[2]


def test_exploration_with_several_objectives(monkeypatch):
    monkeypatch.setattr(acquisition, "_DRAWS", 4000)
    found = prediction(
        [[0.7, 0.7], [0.69, 0.69], [0.2, 0.2]],
        deviation=[[0.0, 0.0], [0.3, 0.3], [0.0, 0.0]],
        reached=[[0.7, 0.7]],
    )
    assert order(found) == [1, 0, 2]
    assert order(found, exploration=0.0) == [0, 1, 2]
