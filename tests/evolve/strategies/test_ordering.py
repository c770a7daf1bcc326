"""Levels of trials: constrained domination, rung by rung."""

from __future__ import annotations

import itertools

import numpy as np

from rosearch.evolve.strategies.ordering import levels
from tests.evolve.strategies.recording import trial
from tests.fitness.reference import beats


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
        return beats(a.score.values, b.score.values)

    for (i, a), (j, b) in itertools.permutations(enumerate(trials), 2):
        if better(a, b):
            assert level[i] < level[j]
    for i, a in enumerate(trials):  # each is as high as what prefers it allows
        above = [level[j] for j, b in enumerate(trials) if better(b, a)]
        feasible = [level[j] for j, b in enumerate(trials) if b.score.feasible]
        lowest = 0 if a.score.feasible else max(feasible) + 1
        assert level[i] == max([lowest, *(k + 1 for k in above)])


def test_higher_rung_is_a_better_level():
    trials = [trial(0, 9.0, rung=0, stopped=True), trial(1, 1.0, rung=1), trial(2, 2.0, rung=1)]
    assert levels(trials).tolist() == [2, 1, 0]
