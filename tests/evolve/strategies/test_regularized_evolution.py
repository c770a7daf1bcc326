"""Regularized evolution: population, tournaments, crossover."""

from __future__ import annotations

import numpy as np
import pytest

from rosearch.evolve import (
    Evolver,
    RandomSearch,
    RegularizedEvolution,
)
from tests.evolve.evaluations import FITNESS, SPACE, synthetic
from tests.evolve.strategies.recording import Recording, rng, trial


def test_first_candidates_are_samples():
    strategy, space = RegularizedEvolution(population=4), Recording()
    trials = [trial(i, float(i)) for i in range(3)]
    strategy.propose(space, trials, number=3, rng=rng())
    assert space.mutated == []
    strategy.propose(space, trials, number=4, rng=rng())
    assert len(space.mutated) == 1


def test_old_trials_are_no_parents():
    strategy, space = RegularizedEvolution(population=4, crossover=0.0), Recording()
    trials = [trial(0, 99.0), *(trial(i, float(i)) for i in range(1, 9))]
    for seed in range(60):
        strategy.propose(space, trials, number=9, rng=rng(seed))
    alive = {trials[i].key for i in range(5, 9)}
    assert set(space.mutated) <= alive


def test_failed_trials_are_not_in_the_population():
    strategy, space = RegularizedEvolution(population=2, tournament=1, crossover=0.0), Recording()
    trials = [trial(0, 1.0), trial(1, 2.0), trial(2), trial(3)]
    for seed in range(30):
        strategy.propose(space, trials, number=4, rng=rng(seed))
    assert set(space.mutated) == {trials[0].key, trials[1].key}


def test_tournament_of_all_selects_the_best():
    space = Recording()
    strategy = RegularizedEvolution(population=5, tournament=5, crossover=0.0)
    trials = [trial(i, value) for i, value in enumerate([3.0, 1.0, 9.0, 2.0, 4.0])]
    for seed in range(10):
        strategy.propose(space, trials, number=5, rng=rng(seed))
    assert set(space.mutated) == {trials[2].key}


def test_winning_probabilities_of_a_tournament():
    space = Recording()
    strategy = RegularizedEvolution(population=4, tournament=2, crossover=0.0)
    trials = [trial(i, float(i)) for i in range(4)]
    for seed in range(600):
        strategy.propose(space, trials, number=4, rng=rng(seed))
    wins = [sum(key == t.key for key in space.mutated) for t in trials]
    # Of two out of four, the best is in half of all pairs, the next wins a third, then a sixth.
    np.testing.assert_allclose(np.array(wins) / 600, [0, 1 / 6, 1 / 3, 1 / 2], atol=0.06)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_fraction_of_children_with_two_parents(share):
    strategy, space = RegularizedEvolution(population=4, crossover=share), Recording()
    trials = [trial(i, float(i)) for i in range(4)]
    for seed in range(300):
        strategy.propose(space, trials, number=4, rng=rng(seed))
    assert len(space.pairs) / 300 == pytest.approx(share, abs=0.08)
    assert len(space.mutated) == 300  # every child is mutated


@pytest.mark.parametrize(
    "make",
    [
        lambda: RegularizedEvolution(population=1),
        lambda: RegularizedEvolution(population=4, tournament=5),
        lambda: RegularizedEvolution(tournament=0),
        lambda: RegularizedEvolution(crossover=1.5),
    ],
)
def test_wrong_settings_are_refused(make):
    with pytest.raises(ValueError):
        make()


def test_settings_and_repr():
    strategy = RegularizedEvolution(population=8, tournament=3, crossover=0.1)
    assert strategy.settings == {
        "name": "RegularizedEvolution",
        "population": 8,
        "tournament": 3,
        "crossover": 0.1,
    }
    assert repr(strategy) == ("RegularizedEvolution(crossover=0.1, population=8, tournament=3)")


def test_evolution_beats_random_search_at_equal_budget():
    def best(strategy, seed):
        search = Evolver(SPACE, synthetic, FITNESS, strategy=strategy, seed=seed)
        return search.run(60, progress=False).best.score.values[0]

    evolution = RegularizedEvolution(population=12, tournament=4)
    seeds = range(12)
    gains = np.array([best(evolution, s) - best(RandomSearch(), s) for s in seeds])
    # The mean gain is at least two standard errors above nothing.
    assert gains.mean() > 2 * gains.std(ddof=1) / np.sqrt(len(gains)), gains
