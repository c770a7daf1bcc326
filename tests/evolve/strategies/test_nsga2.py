"""NSGA-II: survivors, parents, and better fronts than random search."""

from __future__ import annotations

import numpy as np
import pytest

from rosearch.evolve import (
    NSGA2,
)
from rosearch.evolve.strategies.nsga2 import select_by_crowding
from tests.evolve.strategies.recording import hypervolume_gains, parents, trial


def test_parents_are_the_best_of_all_earlier_generations():
    trials = [trial(k, float(v)) for k, v in enumerate([5, 1, 8, 2, 3, 9, 0, 4, 7, 99])]
    # Generations of four: number 8 is bred from the best four of 0 to 7; 8 and 9 are too young.
    strategy = NSGA2(population=4)
    winners = parents(strategy, trials, 10)
    assert winners == {0, 2, 5}  # of 0, 2, 5 and 7, the last wins no tournament
    assert parents(NSGA2(population=4, offspring=1), trials, 10) == {2, 5, 9}  # of those and 8


def test_lonely_trials_of_a_front_are_kept():
    line = [(0, 10), (1, 9), (1.1, 8.9), (1.2, 8.8), (5, 5), (10, 0)]
    trials = [trial(k, *values) for k, values in enumerate(line)]
    assert {t.number for t in select_by_crowding(trials, count=4)} == {0, 3, 4, 5}


def test_infeasible_trials_are_removed_first_and_failed_ones_do_not_count():
    trials = [
        trial(0, 1.0, 2.0),
        trial(1, 9.0, 9.0, violation=0.5),
        trial(2),
        trial(3, 2.0, 1.0),
        trial(4, 8.0, 8.0, violation=0.2),
        trial(5, 0.5, 0.5),
    ]
    assert {t.number for t in select_by_crowding([*trials[:2], *trials[3:]], count=4)} == {
        0,
        3,
        4,
        5,
    }
    assert parents(NSGA2(population=4, offspring=1), trials, 6) == {0, 3, 5}  # 4 never wins


def test_larger_hypervolume_than_random_search():
    gains = hypervolume_gains(NSGA2(population=10))
    assert gains.mean() > 2 * gains.std(ddof=1) / np.sqrt(len(gains)), gains


@pytest.mark.parametrize("settings", [{"population": 1}, {"offspring": 0}, {"crossover": -0.1}])
def test_wrong_settings_are_refused(settings):
    with pytest.raises(ValueError, match=f"^{next(iter(settings))} must be"):
        NSGA2(**settings)
