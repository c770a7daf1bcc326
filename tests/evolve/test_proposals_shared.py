"""Several processes on one study, in the moments in which they get into each other's way."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest

from rosearch.errors import EvaluationError, StorageError
from rosearch.evolve import Evolver, SuccessiveHalving
from rosearch.evolve.study.ledger import Ledger
from tests.evolve.evaluations import FITNESS, SPACE, Runged, synthetic
from tests.evolve.helpers import dies, in_a_fork, sequence


def evolver(evaluate=synthetic, fitness=FITNESS, **settings):
    return Evolver(SPACE, evaluate, fitness, **({"population": 5} | settings))


def tell(search, candidate):
    return search.tell(candidate, search.evaluate(candidate.genome, **candidate.arguments))


def test_a_run_continues_if_another_process_records_a_rung_first(url, monkeypatch):
    search = evolver(Runged(os.devnull), storage=url)
    record = Ledger.record
    raced = []

    def both(self, number, *given, rung=None, **named):
        if self is search._ledger and rung == 1 and not raced:
            raced.append(number)
            assert record(self, number, *given, rung=rung, **named)  # the other is faster
        return record(self, number, *given, rung=rung, **named)

    monkeypatch.setattr(Ledger, "record", both)
    result = search.run(6, progress=False)
    assert raced
    assert {t.state for t in result.trials} <= {"complete", "stopped"}
    assert sequence(result) == sequence(evolver(Runged(os.devnull)).run(6, progress=False))


def test_a_run_keeps_its_lease_between_rungs(url):
    other = evolver(Runged(os.devnull), storage=url)
    stolen = []

    class Watched(Runged):
        def __call__(self, genome, *, seed, rung):
            stolen.append(other._proposals.take_up(60, own=False))
            return super().__call__(genome, seed=seed, rung=rung)

    Watched.__qualname__, Watched.__module__ = Runged.__qualname__, Runged.__module__
    search = evolver(Watched(os.devnull), storage=url)
    release, released = search._ledger.release, []
    search._ledger.release = lambda number: released.append(number) or release(number)
    search.run(4, progress=False)
    assert len(stolen) > 4
    assert not any(stolen)
    assert not released


def test_of_two_that_take_over_a_trial_at_once_one_gets_it(url):
    first, second = (evolver(storage=url) for _ in range(2))
    first._ledger.release(first.ask().number)
    judge, barrier = Ledger.judge, threading.Barrier(2)
    waited = set()

    def together(self, number):
        verdict = judge(self, number)
        if self not in waited:
            waited.add(self)
            barrier.wait(10)
        return verdict

    Ledger.judge = together
    try:
        with ThreadPoolExecutor(2) as pool:
            taken = list(pool.map(lambda s: s._proposals.take_up(60, own=False), (first, second)))
    finally:
        Ledger.judge = judge
    assert sum(candidate is not None for candidate in taken) == 1


def raced(search, other, monkeypatch):
    """Let ``other`` ask in the moment between what ``search`` plans and what it adds."""
    add, asked = search._ledger.add, []

    def add_later(candidate, lease):
        if not asked:
            asked.append(other.ask())
        return add(candidate, lease)

    monkeypatch.setattr(search._ledger, "add", add_later)
    return asked


def test_overlap_holds_if_another_process_takes_the_planned_number(url, monkeypatch):
    serial = evolver(overlap=1).run(8, progress=False)
    first, second = (evolver(storage=url, overlap=1) for _ in range(2))
    for _ in range(6):
        tell(first, first.ask())
    asked = raced(first, second, monkeypatch)
    with pytest.raises(EvaluationError, match="waits"):
        first.ask()
    assert len(first.result.trials) == 8  # number 7 is reserved
    with pytest.raises(EvaluationError, match="waits"):
        first.ask()
    with pytest.raises(EvaluationError, match="waits"):
        second.ask()
    tell(second, asked[0])
    candidate = first.ask()
    assert candidate.number == 7
    tell(first, candidate)
    assert sequence(first.result) == sequence(serial)


def test_a_run_evaluates_the_numbers_it_has_reserved(url, monkeypatch):
    serial = evolver(overlap=1).run(7, progress=False)
    first, second = (evolver(storage=url, overlap=1) for _ in range(2))
    first.run(5, progress=False)
    asked = raced(first, second, monkeypatch)

    def later():
        while not asked:
            time.sleep(0.01)
        time.sleep(0.5)
        tell(second, asked[0])

    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(later)
        result = first.run(6, progress=False)
        told.result(10)
    assert sequence(result) == sequence(serial)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
@pytest.mark.parametrize("write", [0, 1, 2, 3, 4, 5])
def test_killed_before_a_trial_is_planned_again(url, write):
    serial = evolver().run(5, progress=False)

    def search():
        doomed, other = (evolver(storage=url) for _ in range(2))
        add, storage = doomed._ledger.add, doomed._ledger._storage

        def add_later(candidate, lease):
            tell(other, other.ask())
            number = add(candidate, lease)
            storage.set_trial_user_attr = dies(storage.set_trial_user_attr, write + 1, after=False)
            return number

        doomed._ledger.add = add_later
        doomed.ask()

    assert in_a_fork(search) == -signal.SIGKILL
    result = evolver(storage=url).run(5, progress=False)
    assert sequence(result) == sequence(serial)


def test_a_rung_is_compared_with_all_trials_that_finished_it():
    search = evolver(Runged(os.devnull), fidelity=SuccessiveHalving(2))
    candidates = [search.ask() for _ in range(4)]

    def metrics(value):
        return {"accuracy": value, "accuracy_under_attack": value, "compression": 1.0}

    for candidate in candidates[1:]:
        search.tell(candidate, metrics(0.8))
    assert search.tell(candidates[0], metrics(0.2)).state == "stopped"


def test_no_outcome_is_lost_while_another_program_locks_the_database(url, tmp_path, monkeypatch):
    monkeypatch.setattr("rosearch.evolve.study.storage._LOCK_SECONDS", 0.2)
    search = evolver(storage=url)
    candidate = search.ask()
    lock = sqlite3.connect(url.removeprefix("sqlite:///"), check_same_thread=False)
    lock.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(1.0, lock.rollback)
    timer.start()
    assert tell(search, candidate).state == "complete"
    timer.join()
    candidate = search.ask()
    lock.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match=r"could not be written.*database is locked"):
        tell(search, candidate)
    lock.rollback()
    lock.close()
    assert len(search.run(3, progress=False).trials) == 3


def test_a_warning_names_the_candidate_that_a_run_waits_for(url, monkeypatch):
    monkeypatch.setattr("rosearch.evolve.search_run._POLL_SECONDS", 0.02)
    forgotten = evolver(storage=url)
    candidate = forgotten.ask()
    search = evolver(storage=url)
    owner = rf"candidate 0, .* process {os.getpid()} .* until 20"

    def is_explained():
        return any(re.search(owner, str(warning.message)) for warning in told)

    def tell_once_it_is():
        deadline = time.monotonic() + 60
        while not is_explained() and time.monotonic() < deadline:
            time.sleep(0.01)
        tell(forgotten, candidate)

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        thread = threading.Thread(target=tell_once_it_is)
        thread.start()
        search.run(2, progress=False)
    thread.join()
    assert is_explained()


@pytest.mark.parametrize("late", [{"accuracy": 0.1}, ValueError("late")])
def test_the_first_recorded_outcome_is_kept(url, late):
    first, second = evolver(storage=url), evolver(storage=url)
    candidate = first.ask()
    recorded = tell(second, candidate)
    if not isinstance(late, Exception):
        late = synthetic(candidate.genome, seed=candidate.seed) | late
    with pytest.raises(EvaluationError, match="complete already; nothing was recorded"):
        first.tell(candidate, late)
    assert first.result.trials == (recorded,)
    trial = optuna.load_study(study_name="rosearch", storage=url).trials[0]
    assert trial.user_attrs["metrics"] == dict(recorded.metrics)
    assert "failure" not in trial.user_attrs


def test_proposals_use_trials_that_other_processes_have_told(url):
    first, second = (evolver(storage=url, population=2, seed=3) for _ in range(2))
    alone = evolver(population=2, seed=3)
    for number in range(12):
        tell(alone, alone.ask())
        search = (first, second)[number % 2]
        tell(search, search.ask())
    assert sequence(second.result) == sequence(alone.result)


def test_a_candidate_of_another_study_cannot_be_told():
    search, other = evolver(), evolver(seed=1)
    search.ask()
    foreign = other.ask()
    with pytest.raises(EvaluationError, match="not of the study"):
        tell(search, foreign)
    tell(other, foreign)
    with pytest.raises(EvaluationError, match=r"Candidate 1 .* not of the study"):
        tell(search, other.ask())
    assert [t.state for t in search.result.trials] == ["running"]
