"""All strategies of the package pass the suite for plug-ins, and the suite finds faults."""

from __future__ import annotations

import pytest

from rosearch.evolve import (
    NSGA2,
    SMSEMOA,
    RandomSearch,
    RegularizedEvolution,
    Strategy,
    SurrogateEvolution,
)
from rosearch.evolve.testing import StrategySuite


class TestRandomSearch(StrategySuite):
    def make(self):
        return RandomSearch()


class TestRegularizedEvolution(StrategySuite):
    def make(self):
        return RegularizedEvolution(population=8)


class TestNSGA2(StrategySuite):
    def make(self):
        return NSGA2(population=8)


class TestNSGA2InASteadyState(StrategySuite):
    def make(self):
        return NSGA2(population=8, offspring=1)


class TestSMSEMOA(StrategySuite):
    def make(self):
        return SMSEMOA(population=8)


class TestSurrogateEvolution(StrategySuite):
    def make(self):
        return SurrogateEvolution(initial=6, pool=12)


class Counting(Strategy):
    """Remembers what it was asked, which a strategy must not."""

    def __init__(self):
        self._asked = 0

    def propose(self, space, trials, *, number, rng):
        self._asked += 1
        return space.sample(seed=self._asked)


class Drifting(Strategy):
    """Changes its settings in use."""

    def __init__(self):
        self.asked = 0

    def propose(self, space, trials, *, number, rng):
        self.asked += 1
        return space.sample(seed=rng)


class BestOnly(Strategy):
    """Takes it for granted that some trial has a score."""

    def propose(self, space, trials, *, number, rng):
        best = max(trials, key=lambda t: t.score.values)
        return space.mutate(best.genome, seed=rng)


@pytest.mark.parametrize(
    ("strategy", "test"),
    [
        (Counting, "test_the_same_arguments_give_the_same_genome"),
        (Counting, "test_a_search_that_goes_on_is_one_that_starts_anew"),
        (Drifting, "test_settings_are_plain"),
        (BestOnly, "test_proposals_are_in_the_space"),
    ],
)
def test_suite_finds_faulty_strategies(strategy, test):
    class Suite(StrategySuite):
        def make(self):
            return strategy()

    with pytest.raises((AssertionError, ValueError, AttributeError)):
        getattr(Suite(), test)()
