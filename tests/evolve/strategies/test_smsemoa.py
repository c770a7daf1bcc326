"""SMS-EMOA: survivors, and better fronts than random search."""

from __future__ import annotations

import numpy as np
import pytest

from rosearch.evolve import (
    SMSEMOA,
)
from rosearch.evolve.strategies.smsemoa import select_by_hypervolume
from tests.evolve.strategies.recording import hypervolume_gains, parents, trial
from tests.fitness.reference import hypervolume


def test_smallest_contributor_is_removed():
    line = [(0, 10), (4, 9), (5, 8.5), (5.2, 8.4), (10, 0)]
    trials = [trial(k, *values) for k, values in enumerate(line)]
    # Number 2 alone covers 1 by 0.1, number 3 alone 0.2 by 8.4.
    assert parents(SMSEMOA(population=4), trials, 5) == {0, 1, 3, 4}
    dominated = [*trials[:3], trial(3, 3, 8), trials[4]]
    assert parents(SMSEMOA(population=4), dominated, 5) == {0, 1, 2, 4}


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_removal_keeps_as_much_hypervolume_as_possible(objectives):
    rng = np.random.default_rng(1)
    for _ in range(10):
        points = rng.random((7, objectives))
        points /= np.linalg.norm(points, axis=1, keepdims=True)  # one front
        trials = [trial(k, *values) for k, values in enumerate(points)]
        kept = select_by_hypervolume(trials, count=6)
        spread = np.ptp(points, axis=0)
        corner = points.min(axis=0) - 0.1 * spread
        volumes = [hypervolume(np.delete(points, i, 0), corner) for i in range(7)]
        if objectives == 2:  # the ends stay
            for i in (int(np.argmax(points[:, 0])), int(np.argmax(points[:, 1]))):
                volumes[i] = -1.0
        assert {t.number for t in kept} == set(range(7)) - {int(np.argmax(volumes))}


def test_infeasible_trials_are_removed_first_and_failed_ones_do_not_count():
    trials = [
        trial(0, 1.0, 2.0),
        trial(1, 9.0, 9.0, violation=0.5),
        trial(2),
        trial(3, 2.0, 1.0),
        trial(4, 8.0, 8.0, violation=0.2),
        trial(5, 0.5, 0.5),
    ]
    assert parents(SMSEMOA(population=4), trials, 6) == {0, 3, 4, 5}


def test_larger_hypervolume_than_random_search():
    gains = hypervolume_gains(SMSEMOA(population=10))
    assert gains.mean() > 2 * gains.std(ddof=1) / np.sqrt(len(gains)), gains


@pytest.mark.parametrize("settings", [{"population": 1}, {"crossover": 1.1}])
def test_wrong_settings_are_refused(settings):
    with pytest.raises(ValueError, match=f"^{next(iter(settings))} must be"):
        SMSEMOA(**settings)
