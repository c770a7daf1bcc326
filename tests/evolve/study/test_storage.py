"""Two processes on one study, and kill -9, on each kind of storage that machines can share."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sqlite3
import sys
import time

import pytest

from rosearch.evolve import Evolver
from rosearch.evolve.study import journal
from rosearch.evolve.study.storage import open_storage
from rosearch.seeding import generator
from tests.evolve.evaluations import FITNESS, SPACE, Log, slow, synthetic
from tests.evolve.helpers import Forks, sequence
from tests.evolve.servers import SERVERS, server_url

CANDIDATES = 16

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL"),
]


@pytest.fixture(params=["sqlite", "journal", *SERVERS])
def place(request, tmp_path):
    """URL of a storage and the name of a study that is not there."""
    url = {
        "sqlite": f"sqlite:///{tmp_path}/search.db",
        "journal": f"journal:///{tmp_path}/search.log",
    }.get(request.param) or server_url(request.param)
    return url, f"{tmp_path.parent.name} {tmp_path.name}"  # a database outlives a run of the tests


def unhurried(genome, *, seed):
    """As ``synthetic``, slow enough that a process which begins late still finds work."""
    time.sleep(0.25)
    return synthetic(genome, seed=seed)


def evolver(place, log, inner=slow, **settings):
    url, study = place
    return Evolver(
        SPACE, Log(log, inner), FITNESS, population=5, seed=4, storage=url, study=study, **settings
    )


@functools.cache
def serial(**settings):
    return sequence(
        evolver((None, "serial"), os.devnull, **settings).run(CANDIDATES, progress=False)
    )


def run(url, study, log):
    search = evolver((url, study), log, unhurried, overlap=2)
    print("ready", flush=True)
    sys.stdin.readline()
    search.run(CANDIDATES, progress=False)


@pytest.fixture(scope="module")
def two_interpreters():
    with Forks(run) as one, Forks(run) as other:
        yield one, other


def test_two_processes_on_one_study(place, two_interpreters, tmp_path):
    logs = [tmp_path / "log0", tmp_path / "log1"]
    for forks, log in zip(two_interpreters, logs, strict=True):
        forks.start(*place, log)
    for forks in two_interpreters:
        forks.send("go")
    assert [forks.wait() for forks in two_interpreters] == [0, 0]
    trials = sequence(evolver(place, os.devnull, overlap=2).result)
    assert trials[:CANDIDATES] == serial(overlap=2)
    done = [Log(log).lines() for log in logs]
    assert min(map(len, done)) >= 3, "one process did nearly everything"
    assert len({*done[0], *done[1]}) == len(done[0]) + len(done[1]) == len(trials)


def test_killed_at_ten_random_moments(place, tmp_path, monkeypatch):
    # A kill may leave the lock of a journal behind. Others take it away after 30 seconds, for a
    # process that holds it may be slow; no other process is alive here.
    lock = functools.partial(journal.JournalFileSymlinkLock, grace_period=3)
    monkeypatch.setattr(journal, "JournalFileSymlinkLock", lock)
    log = tmp_path / "log"
    rng = generator(0, "tests", "moments")
    killed = 0
    while killed < 10:
        pid = os.fork()
        if pid == 0:
            evolver(place, log).run(CANDIDATES, progress=False)
            os._exit(0)
        time.sleep(rng.uniform(0.02, 0.25))
        os.kill(pid, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        killed += 1
    finished = [t for t in evolver(place, log).result.trials if t.state == "complete"]
    before = Log(log).lines()
    result = evolver(place, log).run(CANDIDATES, progress=False)
    assert sequence(result) == serial()
    assert not {f"{t.key} {t.seed}" for t in finished} & set(Log(log).lines()[len(before) :])
    # Each kill costs at most the candidate under way.
    assert CANDIDATES <= len(Log(log).lines()) <= CANDIDATES + 10


def test_killed_before_the_index_of_study_names(tmp_path):
    file, log = tmp_path / "search.db", tmp_path / "log"
    place = f"sqlite:///{file}", "search"
    open_storage(place[0])
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute("DROP INDEX ix_studies_study_name")
    evolver(place, log).run(4, progress=False)
    evolver(place, log).run(CANDIDATES, progress=False)
    assert sequence(evolver(place, log).result) == serial()
