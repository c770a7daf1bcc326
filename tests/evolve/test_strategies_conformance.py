"""All strategies that come with the package pass the suite for plug-ins."""

from __future__ import annotations

import pytest

from rosearch.errors import RegistryError
from rosearch.evolve import Evolver, RandomSearch, RegularizedEvolution, Strategy, strategies
from rosearch.evolve.strategies import NSGA2, SMSEMOA, SurrogateEvolution
from rosearch.evolve.testing import StrategySuite
from tests.evolve.evaluations import FITNESS, SPACE, synthetic


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
def test_the_suite_finds_what_is_wrong(strategy, test):
    class Suite(StrategySuite):
        def make(self):
            return strategy()

    with pytest.raises((AssertionError, ValueError, AttributeError)):
        getattr(Suite(), test)()


def test_names_of_the_strategies():
    assert set(strategies.names()) >= {
        "random", "regularized_evolution", "nsga2", "sms_emoa", "surrogate",
    }  # fmt: skip
    assert strategies.get("nsga2") is NSGA2


@pytest.mark.parametrize("name", ["random", "regularized_evolution", "nsga2", "sms_emoa"])
def test_an_evolver_takes_a_name(name):
    evolver = Evolver(SPACE, synthetic, FITNESS, strategy=name)
    assert type(evolver.strategy) is strategies.get(name)
    assert len(evolver.run(20, progress=False).trials) == 20


def test_a_wrong_name_or_thing_is_refused():
    with pytest.raises(RegistryError, match="Did you mean 'nsga2'"):
        Evolver(SPACE, synthetic, FITNESS, strategy="nsga3")
    with pytest.raises(TypeError, match="strategy='nsga2'"):
        Evolver(SPACE, synthetic, FITNESS, strategy=NSGA2)


def test_only_strategies_are_registered():
    with pytest.raises(RegistryError, match="subclass of Strategy"):
        strategies.register("mine")(object)

    class Unfinished(Strategy):
        pass

    with pytest.raises(RegistryError, match="propose"):
        strategies.register("mine")(Unfinished)
