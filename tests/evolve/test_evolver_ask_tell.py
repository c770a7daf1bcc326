"""ask and tell with invalid arguments and in threads, and a fidelity rule that raises."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from rosearch.evolve import Fidelity
from tests.evolve.evaluations import synthetic
from tests.evolve.test_evolver import evolver


class Broken(Fidelity):
    """A rule with a mistake."""

    def goes_on(self, score, others, *, rung):
        return others[len(others)] is None if len(others) == 2 else True


def test_a_finished_rung_is_kept_if_the_fidelity_rule_raises(url):
    calls = []

    def evaluate(genome, *, seed, rung):
        calls.append((seed, rung))
        return synthetic(genome, seed=seed)

    evaluate.rungs = 2
    with pytest.raises(IndexError):
        evolver(evaluate, storage=url, fidelity=Broken()).run(5, progress=False)
    result = evolver(evaluate, storage=url, fidelity=Broken()).run(5, progress=False)
    assert [t.state for t in result.trials] == ["complete"] * 5
    assert len(calls) == len(set(calls)) == 10


@pytest.mark.parametrize("kind", ["memory", "url"])
def test_threads_may_share_ask_and_tell(kind, request):
    search = evolver(storage=None if kind == "memory" else request.getfixturevalue("url"))

    def work(_):
        candidate = search.ask()
        metrics = synthetic(candidate.genome, seed=candidate.seed)
        return search.tell(candidate, metrics).number

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(work, range(24))) == list(range(24))
    assert {t.state for t in search.result.trials} == {"complete"}


def test_an_invalid_outcome_is_refused_and_records_nothing():
    search = evolver()
    candidate = search.ask()
    for outcome in (None, ValueError, 0.5):
        with pytest.raises(ValueError, match="outcome must be a mapping of metrics"):
            search.tell(candidate, outcome)
    metrics = synthetic(candidate.genome, seed=candidate.seed)
    for seconds in (-1, math.nan, "5"):
        with pytest.raises(ValueError, match="seconds must be a finite number from 0"):
            search.tell(candidate, metrics, seconds=seconds)
    assert search.tell(candidate, metrics, seconds=2).seconds == 2
