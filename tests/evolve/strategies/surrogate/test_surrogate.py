"""Surrogate evolution: proposals, and fewer evaluations than other strategies."""

from __future__ import annotations

import time

import numpy as np
import pytest

from rosearch.evolve import (
    Evolver,
    RandomSearch,
    RegularizedEvolution,
    SurrogateEvolution,
)
from rosearch.evolve.testing import make_trial
from rosearch.fitness import Fitness
from rosearch.seeding import generator
from tests.evolve.evaluations import FITNESS, SPACE, synthetic
from tests.evolve.strategies.recording import hypervolume_gains
from tests.evolve.strategies.surrogate.predictions import (
    GENOMES,
    worth,
)


def test_proposal_with_many_trials_is_fast():
    trials = [make_trial(k, SPACE.sample(seed=k), [float(k % 17)]) for k in range(700)]
    strategy = SurrogateEvolution(pool=20)
    strategy.propose(SPACE, trials, number=700, rng=generator(0))
    start = time.process_time()
    strategy.propose(SPACE, trials[:-1], number=699, rng=generator(0))
    assert time.process_time() - start < 5


def test_no_proposal_is_in_the_study():
    trials = [make_trial(k, g, [worth(g)]) for k, g in enumerate(GENOMES[:30])]
    strategy = SurrogateEvolution(initial=2, pool=8)
    tried = {t.key for t in trials}
    for seed in range(10):
        genome = strategy.propose(SPACE, trials, number=30, rng=generator(seed))
        assert genome.key not in tried


def test_better_than_regularized_evolution_at_equal_budget():
    def found(strategy, seed):
        search = Evolver(SPACE, synthetic, FITNESS, strategy=strategy, seed=seed)
        return search.run(35, progress=False).best.score.values[0]

    gains = np.array(
        [
            found(SurrogateEvolution(pool=40), seed) - found(RegularizedEvolution(), seed)
            for seed in range(6)
        ]
    )
    # The mean gain is at least two standard errors above nothing.
    assert gains.mean() > 2 * gains.std(ddof=1) / np.sqrt(len(gains)), gains


def test_constraints_are_learned():
    fitness = Fitness({"accuracy": 1.0}, constraints={"robustness": (0.3, None)})

    def feasible(strategy, seed):
        search = Evolver(SPACE, synthetic, fitness, strategy=strategy, seed=seed)
        trials = search.run(30, progress=False).trials
        return np.mean([t.score.feasible for t in trials[10:]])

    model = [feasible(SurrogateEvolution(pool=40), seed) for seed in range(3)]
    chance = [feasible(RandomSearch(), seed) for seed in range(3)]
    assert min(model) > max(chance)
    assert np.mean(model) > np.mean(chance) + 0.2, (model, chance)


@pytest.mark.parametrize(
    "settings",
    [{"initial": 1}, {"pool": 1}, {"parents": 0}, {"samples": 2.0}, {"exploration": -1.0}],
)
def test_wrong_settings_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        SurrogateEvolution(**settings)


@pytest.mark.parametrize("settings", [{"exploration": "1"}, {"samples": "a"}, {"crossover": True}])
def test_settings_must_be_numbers(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} must be a finite number"):
        SurrogateEvolution(**settings)


def test_larger_hypervolume_than_random_search():
    gains = hypervolume_gains(SurrogateEvolution(pool=30), candidates=35)
    assert gains.mean() > 2 * gains.std(ddof=1) / np.sqrt(len(gains)), gains
