"""Child processes that evaluate: kept, loaded once, ended when the time is over."""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path

import pytest

from rosearch.errors import EvaluationError
from rosearch.evolve.processes import Children, Shared, WorkerLostError, evaluate_shared
from rosearch.evolve.records import Candidate
from tests.evolve.evaluations import SPACE, Troubled, synthetic

TROUBLED = Troubled({1: "hang", 2: "kill", 3: "raise"})


def candidate(seed=0, number=0):
    return Candidate(number, SPACE.sample(seed=0), seed)


def process(folder, genome, *, seed):
    return {"process": os.getpid(), "loaded": len(list(Path(folder).iterdir()))}


class Loaded:
    """Leaves a file in a folder each time that it is unpickled."""

    def __init__(self, folder, fails=False):
        self.folder = Path(folder)
        self.fails = fails

    def __setstate__(self, state):
        vars(self).update(state)
        (self.folder / str(time.monotonic_ns())).touch()
        if self.fails:
            raise FileNotFoundError("the teacher is gone")

    def __call__(self, genome, *, seed):
        return process(self.folder, genome, seed=seed)


@pytest.fixture(scope="module")
def children():
    crew = Children(1)
    yield crew
    crew.end()


def test_a_child_stays_and_loads_an_evaluation_once(children, tmp_path):
    shared = Shared.of(Loaded(tmp_path))
    outcomes = [children.evaluate(shared, candidate(n), None) for n in range(3)]
    assert [o.metrics["loaded"] for o in outcomes] == [1, 1, 1]
    assert len({o.metrics["process"] for o in outcomes} - {os.getpid()}) == 1
    other = children.evaluate(Shared.of(synthetic), candidate(4), None)
    assert other.metrics == synthetic(candidate().genome, seed=4)


def test_an_evaluation_that_cannot_be_loaded_is_the_candidates_failure(children, tmp_path):
    shared = Shared.of(Loaded(tmp_path, fails=True))
    for outcome in (
        children.evaluate(shared, candidate(), 5),
        evaluate_shared(shared, candidate()),
    ):
        assert outcome.metrics is None
        assert str(outcome.failure) == "FileNotFoundError: the teacher is gone"
    fine = children.evaluate(Shared.of(TROUBLED), candidate(), 5)
    assert fine.failure is None


def test_what_hangs_in_c_is_ended_and_says_where(children):
    shared = Shared.of(TROUBLED)
    children.evaluate(shared, candidate(), None)  # loaded, so that the clock measures the hang
    start = time.monotonic()
    outcome = children.evaluate(shared, candidate(1), 0.3)
    assert time.monotonic() - start < 10
    assert outcome.failure.kind == "TimeLimit"
    assert "0.3 seconds" in outcome.failure.message
    assert "evaluations.py" in outcome.failure.traceback
    assert 0.3 <= outcome.seconds < 10
    assert children.evaluate(shared, candidate(0), 5).failure is None


def test_the_start_of_a_child_does_not_count(children):
    outcome = children.evaluate(Shared.of(synthetic), candidate(), 0.05)
    assert outcome.failure is None


def test_a_child_that_dies_is_told_apart_from_a_failure(children):
    shared = Shared.of(TROUBLED)
    with pytest.raises(WorkerLostError, match="exit code -9"):
        children.evaluate(shared, candidate(2), None)
    assert children.evaluate(shared, candidate(3), None).failure.kind == "RuntimeError"


def test_after_the_end_nothing_is_evaluated_and_no_process_or_file_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    children = Children()
    outcome = children.evaluate(Shared.of(functools.partial(process, tmp_path)), candidate(), None)
    assert list(tmp_path.iterdir())
    children.end()
    assert not list(tmp_path.iterdir())
    with pytest.raises(ProcessLookupError):
        os.kill(int(outcome.metrics["process"]), 0)
    with pytest.raises(WorkerLostError, match="ended"):
        children.evaluate(Shared.of(synthetic), candidate(), None)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_pickled_is_refused():
    with pytest.raises(EvaluationError, match="top level of a module"):
        Shared.of(lambda genome, *, seed: {})
