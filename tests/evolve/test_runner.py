"""The loop that keeps the workers busy."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import pytest

from rosearch.errors import EvaluationError
from rosearch.evolve.runner import Runner
from rosearch.evolve.study.trials import Candidate
from rosearch.evolve.workers.interrupts import Interrupts
from tests.evolve.evaluations import SPACE, synthetic


def run(count, executor=None, evaluate=synthetic, record=None, **settings):
    """The outcomes by number of ``count`` candidates."""
    waiting = deque(Candidate(k, SPACE.sample(seed=k), k) for k in range(count))
    outcomes = {}

    def next_candidate():
        return waiting.popleft() if waiting else None

    def keep(candidate, outcome):
        outcomes[candidate.number] = outcome

    with Interrupts() as interrupts:
        runner = Runner(evaluate, next_candidate, record or keep, interrupts)
        runner.run(executor, **settings)
    return outcomes


def test_every_candidate_is_recorded_once():
    serial = run(5)
    assert list(serial) == list(range(5))
    with ThreadPoolExecutor(3) as executor:
        threads = run(5, executor)
    assert {k: o.metrics for k, o in threads.items()} == {k: o.metrics for k, o in serial.items()}


class Loses(Executor):
    """Evaluates at once, and loses the submissions with these numbers, from 1."""

    def __init__(self, *losses):
        self.losses, self.submitted = losses, 0

    def submit(self, fn, /, *args, **kwargs):
        self.submitted += 1
        future = Future()
        if self.submitted in self.losses:
            future.set_exception(ConnectionError("worker lost"))
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def test_a_lost_candidate_is_evaluated_once_more():
    assert all(outcome.failure is None for outcome in run(4, Loses(2), workers=1).values())
    lost = run(4, Loses(2, 3), workers=1)
    assert [k for k, outcome in lost.items() if outcome.failure] == [1]
    assert lost[1].failure.kind == "WorkerLost"


def test_what_has_finished_is_recorded_when_an_error_ends_the_run():
    recorded = []

    def record(candidate, outcome):
        recorded.append(candidate.number)
        if len(recorded) == 1:
            raise ValueError("stop")

    class Together(Executor):
        """Ends all evaluations when the third is submitted."""

        futures = []

        def submit(self, fn, /, *args, **kwargs):
            self.futures.append((Future(), fn(*args, **kwargs)))
            if len(self.futures) == 3:
                for future, result in self.futures:
                    future.set_result(result)
            return self.futures[-1][0]

    with pytest.raises(ValueError, match="stop"):
        run(3, Together(), record=record, workers=3)
    assert sorted(recorded) == [0, 1, 2]


def test_an_executor_that_is_shut_down_is_an_error():
    class Broken(Executor):
        def submit(self, fn, /, *args, **kwargs):
            from concurrent.futures import BrokenExecutor

            raise BrokenExecutor("gone")

    with pytest.raises(EvaluationError, match="accepts no more work"):
        run(2, Broken(), workers=1)
