"""Runs of a confirmation: executors, failures, interrupts, rungs and time limits."""

from __future__ import annotations

import os
import sys
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor

import pytest

from rosearch.errors import EvaluationError
from rosearch.evolve import Evolver
from rosearch.evolve.workers.executors import SerialExecutor
from tests.evolve.confirmation.confirmations import (
    Sometimes,
    figures,
    in_file,
    quiet,
    stored,
)
from tests.evolve.evaluations import FITNESS, SPACE, KillsItself, Waits, synthetic
from tests.evolve.keyboard import interrupted_when


def test_threads_give_equal_results(search):
    with ThreadPoolExecutor(3) as executor:
        found = quiet(search, synthetic, executor=executor)
    assert figures(found) == figures(quiet(search, synthetic))


@pytest.mark.slow
def test_processes_give_equal_results(search):
    assert figures(quiet(search, synthetic, executor=2)) == figures(quiet(search, synthetic))


def test_three_equal_failures_end_a_confirmation(tmp_path, search):
    file = tmp_path / "confirm.json"
    with pytest.raises(EvaluationError, match="3 evaluations in a row failed with the same error"):
        quiet(search, Sometimes({5, 6, 7, 8}), top=1, seeds=[5, 6, 7, 8], storage=file)
    assert len(stored(file)) == 3
    quiet(search, Sometimes({6, 7, 8}), top=1, seeds=[5], storage=file)
    found = quiet(search, Sometimes({6, 7, 8}), top=1, seeds=[5, 6, 7, 8], storage=file)
    assert len(found.candidates[0].failures) == 3  # one has gone well, so the cause is another


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_process_that_dies_loses_one_run(tmp_path, search):
    file = tmp_path / "confirm.json"
    seeds = [7, 8, 9]
    found = quiet(search, KillsItself({7}), top=1, seeds=seeds, executor=1, storage=file)
    expected = quiet(search, synthetic, top=1, seeds=seeds)
    for candidate, alike in zip(found.candidates, expected.candidates, strict=True):
        assert [failure.kind for failure in candidate.failures] == ["WorkerLost"]
        assert "exit code -9" in candidate.failures[0].message
        assert candidate.runs[1:] == tuple(
            type(run)(run.seed, run.metrics, None, candidate.runs[i].seconds)
            for i, run in enumerate(alike.runs[1:], start=1)
        )
    assert sorted(in_file(file)) == sorted([(7, "WorkerLost"), (8, None), (9, None)])


class Loses(SerialExecutor):
    """Loses the runs of these seeds, each so many times; notes what it was given."""

    def __init__(self, times):
        self.times = dict(times)
        self.given = []

    def submit(self, fn, evaluate, candidate):
        self.given.append(candidate.seed)
        if not self.times.get(candidate.seed):
            return super().submit(fn, evaluate, candidate)
        self.times[candidate.seed] -= 1
        future = Future()
        future.set_exception(BrokenExecutor("terminated abruptly"))
        return future


def test_lost_run_is_tried_once_more(tmp_path, search):
    file = tmp_path / "confirm.json"
    executor = Loses({6: 1, 7: 2})
    found = quiet(search, synthetic, top=1, seeds=[5, 6, 7, 8], executor=executor, storage=file)
    assert sorted(executor.given) == [5, 6, 6, 7, 7, 8]
    kinds = [run.failure and run.failure.kind for run in found.candidates[0].runs]
    assert kinds == [None, None, "WorkerLost", None]
    assert "BrokenExecutor: terminated abruptly" in found.candidates[0].failures[0].message
    assert dict(in_file(file)) == {5: None, 6: None, 7: "WorkerLost", 8: None}


class Breaks(Loses):
    """Takes nothing more once it has lost a run, as a pool of processes does."""

    def submit(self, fn, evaluate, candidate):
        if any(self.times.get(seed) == 0 for seed in self.given):
            raise BrokenExecutor("not usable anymore")
        return super().submit(fn, evaluate, candidate)


def test_broken_executor_is_an_error_and_loses_no_run(tmp_path, search):
    file = tmp_path / "confirm.json"
    with pytest.raises(EvaluationError, match=r"not usable anymore.*new executor"):
        quiet(search, synthetic, top=1, seeds=[5, 6, 7], executor=Breaks({6: 1}), storage=file)
    assert in_file(file) == [(5, None)]
    found = quiet(search, synthetic, top=1, seeds=[5, 6, 7], storage=file)
    assert figures(found) == figures(quiet(search, synthetic, top=1, seeds=[5, 6, 7]))


class InterruptedLate(SerialExecutor):
    """All that it was given is finished when Ctrl-C comes, which is with the fourth."""

    def __init__(self):
        self.given = []

    def submit(self, fn, evaluate, candidate):
        if len(self.given) == 3:
            for future, work in self.given[:2]:
                future.set_result(work())
            raise KeyboardInterrupt
        self.given.append((Future(), lambda: fn(evaluate, candidate)))
        return self.given[-1][0]


def test_interrupt_keeps_finished_runs_and_cancels_the_others(tmp_path, search):
    file = tmp_path / "confirm.json"
    executor = InterruptedLate()
    with pytest.raises(KeyboardInterrupt):
        quiet(search, synthetic, top=1, seeds=[5, 6, 7, 8], executor=executor, storage=file)
    assert in_file(file) == [(5, None), (6, None)]
    assert executor.given[2][0].cancelled()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT to a thread")
def test_ctrl_c_ends_the_processes_at_once(tmp_path, search):
    file, process = tmp_path / "confirm.json", tmp_path / "process"
    with interrupted_when(lambda: process.exists() and len(stored(file)) == 2):
        quiet(search, Waits(7, tmp_path), top=1, seeds=[7, 8, 9], executor=2, storage=file)
    assert sorted(in_file(file)) == [(8, None), (9, None)]
    with pytest.raises(ProcessLookupError):
        os.kill(int(process.read_text()), 0)


def test_wrong_executors_are_refused(search):
    with pytest.raises(ValueError, match="executor must be None, a number"):
        quiet(search, synthetic, executor="two")
    with pytest.raises(ValueError, match="from 1"):
        quiet(search, synthetic, executor=0)


def test_unpicklable_evaluation_is_refused(search):
    with pytest.raises(EvaluationError, match="cannot be sent to worker processes"):
        quiet(search, lambda genome, *, seed: {}, executor=1)


class InTwoRungs:
    """Needs its rung, and goes on from what it did at the one before."""

    rungs = 2

    def __init__(self):
        self.done = {}

    def __call__(self, genome, *, seed, rung):
        assert self.done.get((genome.key, seed), -1) == rung - 1
        self.done[genome.key, seed] = rung
        return synthetic(genome, seed=seed) | {"rung": rung}


def test_evaluation_with_rungs_is_run_in_full():
    evaluate = InTwoRungs()
    search = Evolver(SPACE, evaluate, FITNESS, population=4).run(6, progress=False)
    best = quiet(search, evaluate, top=1, seeds=2).candidates[0]
    assert [run.metrics["rung"] for run in best.runs] == [1.0, 1.0]
    assert best.mean["accuracy"] > 0


@pytest.mark.slow
def test_time_limit_ends_a_run(search, tmp_path):
    waits = Waits(6, tmp_path)
    found = quiet(search, waits, top=1, seeds=[5, 6], time_limit=1).candidates[0]
    assert [run.failure and run.failure.kind for run in found.runs] == [None, "TimeLimit"]
    with pytest.raises(ValueError, match="time_limit must be"):
        quiet(search, synthetic, time_limit="1")
