"""Failures that end a run, because the rest would fail too."""

from __future__ import annotations

import itertools

import pytest

from rosearch.errors import EvaluationError
from rosearch.evolve import Failure
from rosearch.evolve.workers.failure_streaks import FailureStreaks
from tests.evolve.evaluations import failing, synthetic
from tests.evolve.test_evolver import evolver


def failure(kind, line=1):
    return Failure(kind, "some text", f'  File "mine.py", line {line}, in evaluate\n')


def ends(streaks, *given):
    """Whether the streaks end the run with this outcome."""
    try:
        streaks.record(*given)
    except EvaluationError:
        return True
    return False


def test_three_equal_failures_in_a_row_end_a_run_without_success():
    streaks = FailureStreaks(advice="Fix it.")
    for kind in [("A", 1), ("B", 1), ("B", 2), ("B", 2)]:
        streaks.record(failure(*kind))
    with pytest.raises(EvaluationError, match=r"3 evaluations in a row(.|\n)*Fix it.(.|\n)*line 2"):
        streaks.record(failure("B", 2))


@pytest.mark.parametrize("before", [[], [None]])
def test_ten_equal_failures_end_a_run_after_a_success(before):
    streaks = FailureStreaks(before)
    if not before:
        streaks.record(None)
    assert [ends(streaks, failure("A")) for _ in range(10)] == [False] * 9 + [True]
    streaks.record(None)
    assert not ends(streaks, failure("A"))


def test_rungs_are_counted_separately():
    streaks = FailureStreaks([0])
    found = []
    for _ in range(3):
        streaks.record(None, 0)
        found += [ends(streaks, failure("A"), 1), ends(streaks, failure("A"), 0)]
    assert found == [False, False, False, False, True, False]


def test_a_run_that_always_fails_ends_and_can_be_continued(url):
    search = evolver(failing, storage=url)
    with pytest.raises(EvaluationError, match="3 evaluations in a row failed") as raised:
        search.run(20, progress=False)
    assert "RuntimeError: no luck with" in str(raised.value)
    assert "evaluations.py" in str(raised.value)  # the traceback
    assert [t.state for t in search.result.trials] == ["failed"] * 3
    with pytest.raises(EvaluationError, match=r"no evaluated candidate: 3 trials, 3 failed.*luck"):
        _ = search.result.best
    search.evaluate = synthetic  # repaired
    result = search.run(6, progress=False)
    assert [t.state for t in result.trials] == ["failed"] * 3 + ["complete"] * 3


def test_different_failures_do_not_end_the_run():
    kinds = iter([ValueError, KeyError, OSError, ValueError])

    def evaluate(genome, *, seed):
        raise next(kinds)("broken")

    result = evolver(evaluate).run(4, progress=False)
    assert [t.failure.kind for t in result.trials] == [
        "ValueError",
        "KeyError",
        "OSError",
        "ValueError",
    ]


def test_a_run_that_starts_to_fail_ends(url):
    evolver(storage=url).run(5, progress=False)
    search = evolver(storage=url)
    search.evaluate = failing
    with pytest.raises(EvaluationError, match="10 evaluations in a row failed"):
        search.run(40, progress=False)
    assert [t.state for t in search.result.trials] == ["complete"] * 5 + ["failed"] * 10


def test_a_rung_that_always_fails_ends_the_run():
    def evaluate(genome, *, seed, rung):
        if rung:
            raise OSError("WordNet is not here")
        return synthetic(genome, seed=seed)

    evaluate.rungs = 2
    search = evolver(evaluate)
    with pytest.raises(EvaluationError, match="3 evaluations in a row failed"):
        search.run(60, progress=False)
    states = [t.state for t in search.result.trials]
    assert states.count("failed") == 3
    assert "stopped" in states


def test_a_different_first_failure_does_not_hide_a_streak():
    kinds = itertools.chain([MemoryError], itertools.repeat(OSError))

    def evaluate(genome, *, seed):
        raise next(kinds)("broken")

    search = evolver(evaluate)
    with pytest.raises(EvaluationError, match="3 evaluations in a row failed"):
        search.run(40, progress=False)
    assert len(search.result.trials) == 4


def named(genome, *, seed):
    raise ValueError(f"bad genome {genome.key} with {seed}")


def test_failures_are_compared_by_the_line_that_raised():
    search = evolver(named)
    with pytest.raises(EvaluationError, match="3 evaluations in a row failed") as caught:
        search.run(9, progress=False)
    assert "another study=" in str(caught.value)
    assert len(search.result.trials) == 3
