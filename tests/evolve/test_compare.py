"""Comparisons whose searches fail, find nothing, have rungs, or run elsewhere."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rosearch.evolve import RandomSearch, SurrogateEvolution
from rosearch.evolve.comparison.result import Comparison
from rosearch.evolve.comparison.simulate import compare
from rosearch.evolve.successive_halving import SuccessiveHalving
from tests.evolve.evaluations import FITNESS, SPACE, synthetic
from tests.evolve.test_simulate import FIGURES, NAN, TABULAR, run


def flaky(genome, *, seed):
    if seed % 2:
        raise MemoryError("no room")
    return synthetic(genome, seed=seed)


def test_a_search_that_begins_with_failures_counts_as_it_is():
    found = compare(
        {"r": RandomSearch()}, flaky, SPACE, FITNESS, candidates=20, seeds=20, progress=False
    )
    assert len(found.runs["r"]) == 20
    begun = [run for run in found.runs["r"] if np.isnan(run.best[:3]).all()]
    assert begun  # with three failures of one cause
    assert all(math.isfinite(run.final) for run in begun)


def test_runs_that_found_nothing_feasible_are_below_the_others():
    def found(*finals):
        runs = tuple(run(seed, [final]) for seed, final in enumerate(finals))
        return Comparison({"r": runs}, best=1.0).summary()[0].final

    assert found(0.5, NAN, 0.9) == 0.5
    assert found(0.5, NAN, 0.9, 0.7) == pytest.approx(0.6)
    assert math.isnan(found(NAN, 0.5, NAN))
    assert math.isnan(found(NAN, 0.5))


def in_two_rungs(genome, *, seed, rung):
    return synthetic(genome, seed=seed) | {"seconds": rung + 1.0}


in_two_rungs.rungs = 2


def test_without_a_rule_an_evaluation_that_needs_its_rung_is_taken_in_full():
    found = compare(
        {"full": RandomSearch(), "halved": RandomSearch()},
        in_two_rungs,
        SPACE,
        FITNESS,
        candidates=9,
        seeds=2,
        fidelity={"halved": SuccessiveHalving()},
        progress=False,
    )
    assert [run.seconds[-1] for run in found.runs["full"]] == [18.0, 18.0]
    assert all(run.seconds[-1] < 18 for run in found.runs["halved"])


@pytest.mark.slow
def test_a_strategy_that_was_used_can_be_sent_to_processes():
    strategies = {"s": SurrogateEvolution(initial=3, pool=10)}
    settings = {"candidates": 8, "seeds": 2, "progress": False}
    here = compare(strategies, FIGURES, TABULAR, FITNESS, **settings)
    there = compare(strategies, FIGURES, TABULAR, FITNESS, workers=1, **settings)
    for mine, theirs in zip(here.runs["s"], there.runs["s"], strict=True):
        np.testing.assert_array_equal(mine.best, theirs.best)
