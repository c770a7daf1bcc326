"""Strategies propose new genomes and are registered by name."""

from __future__ import annotations

import pytest

from rosearch.errors import RegistryError, SpaceError
from rosearch.evolve import (
    NSGA2,
    Evolver,
    RandomSearch,
    Strategy,
    strategies,
)
from tests.evolve.evaluations import FITNESS, SPACE, synthetic
from tests.evolve.strategies.recording import rng


def test_new_genomes_are_not_in_the_study():
    class Stubborn(Strategy):
        def propose(self, space, trials, *, number, rng):
            return SPACE.sample(seed=0)

    first = SPACE.sample(seed=0)
    asked = {"number": 1, "rng": rng()}
    other = next(Stubborn().new_genomes(SPACE, [], taken={first.key}, **asked))
    assert other.key != first.key


def test_order_of_proposals_is_kept():
    order = [SPACE.sample(seed=k) for k in range(3)]

    class Ordered(RandomSearch):
        def proposals(self, space, trials, *, number, rng):
            yield from order

    asked = {"number": 1, "rng": rng()}
    taken = {order[0].key}
    assert next(Ordered().new_genomes(SPACE, [], taken=taken, **asked)) == order[1]
    found = Ordered().new_genomes(SPACE, [], taken=taken, **asked)
    keys = [next(found).key for _ in range(20)]
    assert keys[:2] == [order[1].key, order[2].key]  # then samples, each once
    assert len(set(keys)) == 20
    assert order[0].key not in keys


def test_sample_replaces_a_proposal_that_raises_space_error():
    class Stuck(Strategy):
        def propose(self, space, trials, *, number, rng):
            raise SpaceError("no neighbour")

    assert next(Stuck().new_genomes(SPACE, [], taken=(), number=0, rng=rng())) in SPACE


def test_proposal_that_is_no_genome_is_refused():
    class Wrong(Strategy):
        def propose(self, space, trials, *, number, rng):
            return "genome"

    with pytest.raises(ValueError, match="a proposal of Wrong must be a Genome, got 'genome'"):
        next(Wrong().new_genomes(SPACE, [], taken=(), number=0, rng=rng()))


def test_registered_names():
    assert set(strategies.names()) >= {
        "random", "regularized_evolution", "nsga2", "sms_emoa", "surrogate",
    }  # fmt: skip
    assert strategies.get("nsga2") is NSGA2


@pytest.mark.parametrize("name", ["random", "regularized_evolution", "nsga2", "sms_emoa"])
def test_evolver_accepts_a_name(name):
    evolver = Evolver(SPACE, synthetic, FITNESS, strategy=name)
    assert type(evolver.strategy) is strategies.get(name)
    assert len(evolver.run(20, progress=False).trials) == 20


def test_wrong_names_and_objects_are_refused():
    with pytest.raises(RegistryError, match="Did you mean 'nsga2'"):
        Evolver(SPACE, synthetic, FITNESS, strategy="nsga3")
    with pytest.raises(ValueError, match="such as 'nsga2'"):
        Evolver(SPACE, synthetic, FITNESS, strategy=NSGA2)


def test_only_complete_subclasses_can_be_registered():
    with pytest.raises(RegistryError, match="subclass of Strategy"):
        strategies.register("mine")(object)

    class Unfinished(Strategy):
        pass

    with pytest.raises(RegistryError, match="propose"):
        strategies.register("mine")(Unfinished)
