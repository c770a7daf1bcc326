"""NSGA-II and SMS-EMOA: who survives, who breeds, and that fronts get better."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rosearch.evolve import NSGA2, SMSEMOA, Evolver, RandomSearch, SurrogateEvolution
from rosearch.evolve.strategies.ordering import Replay, levels
from rosearch.evolve.testing import make_trial
from rosearch.fitness import Fitness, dominates, hypervolume
from tests.evolve.evaluations import SPACE

GENOMES = [SPACE.sample(seed=k) for k in range(60)]


def trial(number, *values, **more):
    return make_trial(number, GENOMES[number], values or None, **more)


class Recording:
    """The space, noting the parents."""

    def __init__(self):
        self.parents = set()

    def sample(self, *, seed):
        return SPACE.sample(seed=seed)

    def mutate(self, genome, *, seed):
        self.parents.add(genome.key)
        return genome

    def crossover(self, a, b, *, seed):
        self.parents |= {a.key, b.key}
        return a


def parents(strategy, trials, number):
    space = Recording()
    for seed in range(150):
        strategy.propose(space, trials, number=number, rng=np.random.default_rng(seed))
    return {t.number for t in trials if t.key in space.parents}


def test_levels_are_constrained_domination():
    rng = np.random.default_rng(0)
    trials = [
        trial(k, *rng.integers(0, 4, 2), violation=float(max(0, rng.integers(-3, 3))))
        for k in range(40)
    ]
    level = levels(trials)

    def better(a, b):  # Deb et al. (2002), definition 1
        if a.score.feasible != b.score.feasible:
            return a.score.feasible
        if not a.score.feasible:
            return a.score.violation < b.score.violation
        return dominates(a.score.values, b.score.values)

    for (i, a), (j, b) in itertools.permutations(enumerate(trials), 2):
        if better(a, b):
            assert level[i] < level[j]
    for i, a in enumerate(trials):  # each is as high as what prefers it allows
        above = [level[j] for j, b in enumerate(trials) if better(b, a)]
        feasible = [level[j] for j, b in enumerate(trials) if b.score.feasible]
        lowest = 0 if a.score.feasible else max(feasible) + 1
        assert level[i] == max([lowest, *(k + 1 for k in above)])


def test_a_higher_rung_is_a_better_level():
    trials = [trial(0, 9.0, rung=0, stopped=True), trial(1, 1.0, rung=1), trial(2, 2.0, rung=1)]
    assert levels(trials).tolist() == [2, 1, 0]


def test_parents_of_nsga2_are_the_best_of_all_earlier_generations():
    trials = [trial(k, float(v)) for k, v in enumerate([5, 1, 8, 2, 3, 9, 0, 4, 7, 99])]
    # Generations of four: number 8 is bred from the best four of 0 to 7; 8 and 9 are too young.
    strategy = NSGA2(population=4)
    winners = parents(strategy, trials, 10)
    assert winners == {0, 2, 5}  # of 0, 2, 5 and 7, the last wins no tournament
    assert parents(NSGA2(population=4, offspring=1), trials, 10) == {2, 5, 9}  # of those and 8


def test_nsga2_keeps_the_lonely_of_a_front_that_is_too_large():
    line = [(0, 10), (1, 9), (1.1, 8.9), (1.2, 8.8), (5, 5), (10, 0)]
    trials = [trial(k, *values) for k, values in enumerate(line)]
    kept = NSGA2(population=4, offspring=6)._replay.population(trials, number=6)
    assert {t.number for t in kept} == {0, 3, 4, 5}


def test_the_least_contributor_leaves_sms_emoa():
    line = [(0, 10), (4, 9), (5, 8.5), (5.2, 8.4), (10, 0)]
    trials = [trial(k, *values) for k, values in enumerate(line)]
    # Number 2 alone covers 1 by 0.1, number 3 alone 0.2 by 8.4.
    assert parents(SMSEMOA(population=4), trials, 5) == {0, 1, 3, 4}
    dominated = [*trials[:3], trial(3, 3, 8), trials[4]]
    assert parents(SMSEMOA(population=4), dominated, 5) == {0, 1, 2, 4}


@pytest.mark.parametrize("objectives", [2, 3])
def test_sms_emoa_keeps_as_much_volume_as_any_choice_of_all_but_one(objectives):
    rng = np.random.default_rng(1)
    for _ in range(10):
        points = rng.random((7, objectives))
        points /= np.linalg.norm(points, axis=1, keepdims=True)  # one front
        trials = [trial(k, *values) for k, values in enumerate(points)]
        kept = SMSEMOA(population=6)._replay.population(trials, number=7)
        spread = np.ptp(points, axis=0)
        corner = points.min(axis=0) - 0.1 * spread
        volumes = [hypervolume(np.delete(points, i, 0), corner) for i in range(7)]
        if objectives == 2:  # the ends stay
            for i in (int(np.argmax(points[:, 0])), int(np.argmax(points[:, 1]))):
                volumes[i] = -1.0
        assert {t.number for t in kept} == set(range(7)) - {int(np.argmax(volumes))}


@pytest.mark.parametrize(
    "make", [lambda: NSGA2(population=4, offspring=1), lambda: SMSEMOA(population=4)]
)
def test_the_infeasible_leave_first_and_failures_take_no_place(make):
    trials = [
        trial(0, 1.0, 2.0),
        trial(1, 9.0, 9.0, violation=0.5),
        trial(2),
        trial(3, 2.0, 1.0),
        trial(4, 8.0, 8.0, violation=0.2),
        trial(5, 0.5, 0.5),
    ]
    kept = make()._replay.population(trials, number=6)
    assert {t.number for t in kept} == {0, 3, 4, 5}


def test_a_replay_that_goes_on_is_one_from_the_start():
    calls = []

    def survive(trials):
        calls.append([t.number for t in trials])
        return trials[-2:]

    trials = [trial(k, 1.0) for k in range(8)]
    replay = Replay(2, survive)
    assert [t.number for t in replay.population(trials[:4], number=4)] == [2, 3]
    assert [t.number for t in replay.population(trials, number=8)] == [6, 7]
    assert calls == [[0, 1], [0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]]  # nothing twice
    assert replay.population(trials, number=8) == Replay(2, survive).population(trials, number=8)


@pytest.mark.parametrize("size", [1, 3])
def test_a_trial_that_finishes_late_plays_only_what_comes_after_it_again(size):
    calls = []

    def survive(trials):
        calls.append(len(trials))
        return trials[-5:]

    trials = [trial(k, 1.0) for k in range(60)]
    order = np.random.default_rng(0).permutation(8)
    replay = Replay(size, survive)
    done = []
    for block in range(0, 48, 8):  # eight at a time, in an order of their own
        for place in order:
            done = sorted([*done, trials[block + place]], key=lambda t: t.number)
            again = replay.population(done, number=60)
            assert again == Replay(size, lambda t: t[-5:]).population(done, number=60)
    assert len(calls) <= 48 * (8 // size + 2)
    assert replay.population(done[:20], number=60) == done[15:20]
    other = [trial(0, 2.0), *done[1:]]  # another record of the first trial
    assert replay.population(other, number=4 * size) == other[: 4 * size][-5:]


def counted(genome, *, seed):
    """Two objectives that compete for eight nodes."""
    operators = [node.operator for node in genome.nodes]
    return {
        "accuracy": operators.count("attention") + operators.count("feed_forward"),
        "accuracy_under_attack": operators.count("convolution") + operators.count("identity"),
    }


@pytest.mark.parametrize(
    "strategy", [NSGA2(population=10), SMSEMOA(population=10), SurrogateEvolution(pool=40)]
)
def test_fronts_cover_more_than_those_of_random_search(strategy):
    fitness = Fitness.pareto(["robustness", "accuracy"])

    def volume(used, seed):
        search = Evolver(SPACE, counted, fitness, strategy=used, seed=seed).run(60, progress=False)
        return hypervolume([t.score.values for t in search.front], [-1, -1])

    gains = np.array([volume(strategy, s) - volume(RandomSearch(), s) for s in range(6)])
    assert gains.mean() > 2 * gains.std(ddof=1) / np.sqrt(len(gains)), gains


@pytest.mark.parametrize(
    "make",
    [
        lambda: NSGA2(population=1),
        lambda: NSGA2(offspring=0),
        lambda: NSGA2(crossover=-0.1),
        lambda: SMSEMOA(population=1),
        lambda: SMSEMOA(crossover=1.1),
    ],
)
def test_senseless_settings_are_refused(make):
    with pytest.raises(ValueError, match=r"(population|offspring|crossover) (must|is)"):
        make()
