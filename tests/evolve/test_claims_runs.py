"""Runs of a confirmation: metrics, rungs, and time."""

from __future__ import annotations

import math

import pytest

from rosearch.evolve import Evolver
from tests.evolve.evaluations import FITNESS, SPACE, Waits, synthetic
from tests.evolve.test_claims import quiet


@pytest.fixture(scope="module")
def search():
    return Evolver(SPACE, synthetic, FITNESS, population=4).run(10, progress=False)


class NotFinite:
    """One run has a metric that is no finite number, and one lacks one."""

    def __init__(self, name, value):
        self.name, self.value = name, value

    def __call__(self, genome, *, seed):
        metrics = synthetic(genome, seed=seed) | {"extra": 1.0, "other": 2.0}
        if seed == 7:
            del metrics["other"]
        return metrics | {self.name: self.value} if seed == 6 else metrics


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_metrics_that_are_not_finite(search, tmp_path, value):
    file = tmp_path / "confirm.json"
    evaluate = NotFinite("extra", value)
    best = quiet(search, evaluate, top=1, seeds=[5, 6, 7], storage=file).candidates[0]
    assert best.failures == ()  # the search's fitness does not read it
    assert math.isnan(best.mean["extra"])
    assert math.isnan(best.std["extra"])
    assert math.isnan(best.mean["other"])
    assert best.std["accuracy"] > 0
    again = quiet(search, evaluate, top=1, seeds=[5, 6, 7], storage=file)
    assert "nan" not in again.table(["extra", "other", "accuracy"])
    best = quiet(search, NotFinite("accuracy", value), top=1, seeds=[5, 6, 7]).candidates[0]
    assert [run.failure is None for run in best.runs] == [True, False, True]
    assert "'accuracy' must be finite" in str(best.failures[0])


class InTwoRungs:
    """Needs its rung, and goes on from what it did at the one before."""

    rungs = 2

    def __init__(self):
        self.done = {}

    def __call__(self, genome, *, seed, rung):
        assert self.done.get((genome.key, seed), -1) == rung - 1
        self.done[genome.key, seed] = rung
        return synthetic(genome, seed=seed) | {"rung": rung}


def test_rungs_are_taken_one_after_the_other():
    evaluate = InTwoRungs()
    search = Evolver(SPACE, evaluate, FITNESS, population=4).run(6, progress=False)
    best = quiet(search, evaluate, top=1, seeds=2).candidates[0]
    assert [run.metrics["rung"] for run in best.runs] == [1.0, 1.0]
    assert best.mean["accuracy"] > 0


@pytest.mark.slow
def test_a_run_that_hangs_is_ended(search, tmp_path):
    waits = Waits(6, tmp_path)
    found = quiet(search, waits, top=1, seeds=[5, 6], time_limit=1).candidates[0]
    assert [run.failure and run.failure.kind for run in found.runs] == [None, "TimeLimit"]
    with pytest.raises(ValueError, match="time_limit is a positive number"):
        quiet(search, synthetic, time_limit="1")
