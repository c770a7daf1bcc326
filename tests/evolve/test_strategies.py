"""Strategies: what they may depend on, and that evolution beats chance."""

from __future__ import annotations

import numpy as np
import pytest

from rosearch.errors import SpaceError
from rosearch.evolve import Evolver, RandomSearch, RegularizedEvolution, Strategy, TrialRecord
from rosearch.fitness import Score
from tests.evolve.evaluations import FITNESS, SPACE, synthetic


def trial(number, value, state="complete"):
    genome = SPACE.sample(seed=number)
    done = state == "complete"
    score = Score((value,), ("maximize",), {}, True, 0.0) if done else None
    return TrialRecord(number, genome, genome.key, number, state, {}, score, 0.0, None)


class Recording:
    """The space, noting which genomes were changed."""

    def __init__(self):
        self.parents = []
        self.pairs = []

    def sample(self, *, seed):
        return SPACE.sample(seed=seed)

    def mutate(self, genome, *, seed):
        self.parents.append(genome)
        return SPACE.mutate(genome, seed=seed)

    def crossover(self, a, b, *, seed):
        self.pairs.append((a, b))
        return SPACE.crossover(a, b, seed=seed)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_the_first_candidates_are_samples():
    strategy, space = RegularizedEvolution(population=4), Recording()
    trials = [trial(i, float(i)) for i in range(3)]
    strategy.propose(space, trials, number=3, rng=rng())
    assert space.parents == []
    strategy.propose(space, trials, number=4, rng=rng())
    assert len(space.parents) == 1


def test_the_old_die_however_good_they_are():
    strategy, space = RegularizedEvolution(population=4, crossover=0.0), Recording()
    trials = [trial(0, 99.0), *(trial(i, float(i)) for i in range(1, 9))]
    for seed in range(60):
        strategy.propose(space, trials, number=9, rng=rng(seed))
    alive = {trials[i].key for i in range(5, 9)}
    assert {parent.key for parent in space.parents} <= alive


def test_failed_candidates_are_no_parents_and_take_no_place():
    strategy, space = RegularizedEvolution(population=2, tournament=1, crossover=0.0), Recording()
    trials = [trial(0, 1.0), trial(1, 2.0), trial(2, 0.0, "failed"), trial(3, 0.0, "failed")]
    for seed in range(30):
        strategy.propose(space, trials, number=4, rng=rng(seed))
    assert {parent.key for parent in space.parents} == {trials[0].key, trials[1].key}


def test_a_tournament_of_everyone_takes_the_best():
    space = Recording()
    strategy = RegularizedEvolution(population=5, tournament=5, crossover=0.0)
    trials = [trial(i, value) for i, value in enumerate([3.0, 1.0, 9.0, 2.0, 4.0])]
    for seed in range(10):
        strategy.propose(space, trials, number=5, rng=rng(seed))
    assert {parent.key for parent in space.parents} == {trials[2].key}


def test_a_tournament_of_k_prefers_the_better_as_often_as_it_should():
    space = Recording()
    strategy = RegularizedEvolution(population=4, tournament=2, crossover=0.0)
    trials = [trial(i, float(i)) for i in range(4)]
    for seed in range(600):
        strategy.propose(space, trials, number=4, rng=rng(seed))
    wins = [sum(p.key == t.key for p in space.parents) for t in trials]
    # Of two out of four, the best is in half of all pairs, the next wins a third, then a sixth.
    np.testing.assert_allclose(np.array(wins) / 600, [0, 1 / 6, 1 / 3, 1 / 2], atol=0.06)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_children_with_two_parents(share):
    strategy, space = RegularizedEvolution(population=4, crossover=share), Recording()
    trials = [trial(i, float(i)) for i in range(4)]
    for seed in range(300):
        strategy.propose(space, trials, number=4, rng=rng(seed))
    assert len(space.pairs) / 300 == pytest.approx(share, abs=0.08)
    assert len(space.parents) == 300  # every child is mutated


def test_no_genome_comes_twice():
    class Stubborn(Strategy):
        def propose(self, space, trials, *, number, rng):
            return SPACE.sample(seed=0)

    first = SPACE.sample(seed=0)
    asked = {"number": 1, "rng": rng()}
    other = Stubborn().next_genome(SPACE, [], taken={first.key}, **asked)
    assert other.key != first.key


def test_a_strategy_that_orders_genomes_is_followed():
    order = [SPACE.sample(seed=k) for k in range(3)]

    class Ordered(RandomSearch):
        def proposals(self, space, trials, *, number, rng):
            yield from order

    asked = {"number": 1, "rng": rng()}
    taken = {order[0].key}
    assert Ordered().next_genome(SPACE, [], taken=taken, **asked) == order[1]
    found = Ordered().new_genomes(SPACE, [], taken=taken, **asked)
    keys = [next(found).key for _ in range(20)]
    assert keys[:2] == [order[1].key, order[2].key]  # then samples, each once
    assert len(set(keys)) == 20
    assert order[0].key not in keys


def test_a_parent_without_neighbours_is_replaced_by_a_sample():
    class Stuck(Strategy):
        def propose(self, space, trials, *, number, rng):
            raise SpaceError("no neighbour")

    assert Stuck().next_genome(SPACE, [], taken=(), number=0, rng=rng()) in SPACE


@pytest.mark.parametrize(
    "make",
    [
        lambda: RegularizedEvolution(population=1),
        lambda: RegularizedEvolution(population=4, tournament=5),
        lambda: RegularizedEvolution(tournament=0),
        lambda: RegularizedEvolution(crossover=1.5),
    ],
)
def test_senseless_settings_are_refused(make):
    with pytest.raises(ValueError):
        make()


def test_settings_and_repr_name_every_argument():
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
