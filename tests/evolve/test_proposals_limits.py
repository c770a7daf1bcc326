"""Constraints that can be told before training keep a genome from being trained."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

import rosearch as rs
from rosearch.errors import StudyMismatchError
from rosearch.evolve import Evolver
from rosearch.fitness import Fitness
from tests.evolve.evaluations import SPACE, Costed, Log, synthetic
from tests.evolve.helpers import dies, in_a_fork, sequence
from tests.evolve.test_evolver import tiny

LIMIT = 10.0
LIMITED = Fitness({"accuracy": 1.0}, constraints={"compression": (LIMIT, None)})


def evolver(evaluate, fitness=LIMITED, space=SPACE, **settings):
    return Evolver(space, evaluate, fitness, **({"population": 5, "seed": 4} | settings))


def compressions(result):
    return [t.metrics["compression"] for t in result.trials]


def test_a_genome_outside_the_limits_is_not_trained(tmp_path):
    without = evolver(Log(tmp_path / "without")).run(14, progress=False)
    assert sum(c < LIMIT for c in compressions(without)) > 3  # the limit is one
    limited = evolver(Costed(tmp_path / "with")).run(14, progress=False)
    assert min(compressions(limited)) >= LIMIT
    assert len(Costed(tmp_path / "with").lines()) == len(limited.trials) == 14
    assert [t.number for t in limited.trials] == list(range(14))


@pytest.mark.parametrize("strategy", ["random", "regularized_evolution", "surrogate"])
def test_every_strategy_improves_within_the_limits(strategy):
    best = []
    for seed in range(3):
        result = evolver(Costed(os.devnull), strategy=strategy, seed=seed).run(40, progress=False)
        assert min(compressions(result)) >= LIMIT
        best.append(result.best.metrics["accuracy"])
    # Students inside are an empty graph or one node; only attention gives more than 0.64.
    assert sorted(best)[1] > 0.64


def test_a_strategy_is_asked_once_for_a_genome_within_the_limits():
    class Ordered(rs.RandomSearch):
        asked = 0

        def proposals(self, space, trials, *, number, rng):
            Ordered.asked += 1
            drawn = [space.sample(seed=rng) for _ in range(100)]
            yield from sorted(drawn, key=lambda genome: -len(genome.nodes))

    result = evolver(Costed(os.devnull), strategy=Ordered()).run(10, progress=False)
    assert min(compressions(result)) >= LIMIT
    assert Ordered.asked == 10


def test_initial_genomes_may_exceed_the_limits():
    large = next(
        genome
        for genome in (SPACE.sample(seed=s) for s in range(100))
        if synthetic(genome, seed=0)["compression"] < LIMIT
    )
    result = evolver(Costed(os.devnull), initial_genomes=[large]).run(4, progress=False)
    assert result.trials[0].genome == large
    assert min(compressions(result)[1:]) >= LIMIT > compressions(result)[0]


def test_if_no_genome_is_within_the_limits_the_smallest_violation_is_trained():
    fitness = Fitness({"accuracy": 1.0}, constraints={"compression": (1000.0, None)})
    space = tiny(widths=2)
    result = evolver(Costed(os.devnull), fitness, space).run(4, progress=False)
    assert compressions(result) == sorted(compressions(result), reverse=True)
    assert "none feasible" in repr(result)


def test_constraints_on_trained_metrics_do_not_limit_proposals():
    fitness = Fitness({"accuracy": 1.0}, constraints={"robustness": (0.15, None)})
    plain = evolver(Log(os.devnull), fitness).run(8, progress=False)
    costed = evolver(Costed(os.devnull), fitness).run(8, progress=False)
    assert sequence(costed) == sequence(plain)
    assert {t.score.feasible for t in costed.trials} == {True, False}


def test_cost_is_not_called_without_constraints(tmp_path):
    class Dear(Costed):
        def cost(self, genome):
            raise AssertionError("asked")

    free = Fitness({"accuracy": 1.0})
    dear = evolver(Dear(os.devnull), free).run(6, progress=False)
    assert sequence(dear) == sequence(evolver(Log(os.devnull), free).run(6, progress=False))


def test_an_error_in_cost_is_a_warning():
    class Broken(Costed):
        def cost(self, genome):
            raise ZeroDivisionError("no parameters")

    with pytest.warns(RuntimeWarning, match="no parameters"):
        result = evolver(Broken(os.devnull)).run(3, progress=False)
    assert sequence(result) == sequence(evolver(Log(os.devnull)).run(3, progress=False))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_a_limited_search_resumes_identically_after_a_kill(tmp_path, url):
    whole = sequence(evolver(Costed(os.devnull)).run(12, progress=False))
    for moment in (3, 5):
        doomed = Costed(tmp_path / "log", dies(synthetic, moment, after=False))
        ended = in_a_fork(lambda e=doomed: evolver(e, storage=url).run(12, progress=False))
        assert ended == -signal.SIGKILL
    resumed = evolver(Costed(tmp_path / "log"), storage=url)
    assert 0 < sum(t.state == "complete" for t in resumed.result.trials) < 12
    assert sequence(resumed.run(12, progress=False)) == whole


def test_limits_with_threads_give_the_serial_result():
    serial = evolver(Costed(os.devnull), overlap=2).run(8, progress=False)
    with ThreadPoolExecutor(2) as executor:
        threads = evolver(Costed(os.devnull), overlap=2).run(8, executor=executor, progress=False)
    assert sequence(threads) == sequence(serial)


@pytest.mark.slow
def test_limits_with_processes_give_the_serial_result():
    serial = evolver(Costed(os.devnull), overlap=2).run(6, progress=False)
    pooled = evolver(Costed(os.devnull), overlap=2).run(6, executor=2, progress=False)
    assert sequence(pooled) == sequence(serial)


def test_limits_before_training_are_a_setting_of_the_study(url):
    class Named(Log):
        pass

    Named.__qualname__, Named.__module__ = Costed.__qualname__, Costed.__module__
    evolver(Named(os.devnull), storage=url)
    with pytest.raises(StudyMismatchError, match="limits: not set in the study"):
        evolver(Costed(os.devnull), storage=url)
