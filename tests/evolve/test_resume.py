"""A search killed with SIGKILL goes on as if it had not been."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rosearch.evolve import Evolver
from rosearch.evolve.study.ledger import Ledger
from tests.evolve.evaluations import FITNESS, SPACE, Log, slow, synthetic

ROOT = Path(__file__).parents[2]
CANDIDATES = 14

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


def evolver(folder, evaluate=None, **settings):
    settings = {"population": 5, "seed": 3, "storage": f"sqlite:///{folder}/search.db"} | settings
    return Evolver(SPACE, evaluate or Log(folder / "log"), FITNESS, **settings)


def sequence(search):
    return [(t.number, t.key, t.seed, t.state, dict(t.metrics), t.score) for t in search.trials]


@pytest.fixture(scope="module")
def uninterrupted():
    return sequence(evolver(Path(), Log(os.devnull), storage=None).run(CANDIDATES, progress=False))


def in_a_fork(body):
    """Run ``body`` in a process of its own and return how it ended."""
    pid = os.fork()
    if pid == 0:
        try:
            body()
        except BaseException:  # noqa: BLE001
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def dies(method, call, *, after):
    """``method``, which kills its process before or after its call number ``call``."""
    calls = 0

    @functools.wraps(method)
    def wrapped(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == call and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = method(*args, **kwargs)
        if calls == call and after:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


# Method of the ledger, call of it, killed before or after, evaluations that are done twice.
MOMENTS = [
    ("_open", 1, True, 0),  # the study is there, without a trial
    ("add", 1, False, 0),
    ("add", 1, True, 0),  # the first trial is stored, its evaluation has not begun
    ("add", 9, True, 0),
    ("complete", 8, False, 1),  # evaluated, nothing recorded
    ("_write", 8, True, 1),  # an outcome is one transaction: nothing is recorded until its end
    ("_finish", 8, True, 1),
    ("_finish", CANDIDATES, False, 1),
    ("_at_once", 8, True, 0),
]


@pytest.mark.parametrize(("name", "call", "after", "twice"), MOMENTS)
def test_killed_at_any_step_of_the_ledger(tmp_path, uninterrupted, name, call, after, twice):
    check_killed(tmp_path, uninterrupted, name, call, after, twice)


# A journal file has no transactions, and studies of old were written without.
@pytest.mark.parametrize(
    ("name", "call", "after"),
    [("_write", 8, True), ("_finish", 8, True), ("_finish", CANDIDATES, False)],
)
def test_an_outcome_without_its_last_step_is_not_evaluated_again(
    tmp_path, uninterrupted, name, call, after
):
    storage = f"journal:///{tmp_path}/search.log"
    check_killed(tmp_path, uninterrupted, name, call, after, 0, storage=storage)


def check_killed(tmp_path, uninterrupted, name, call, after, twice, **settings):
    def search():
        setattr(Ledger, name, dies(getattr(Ledger, name), call, after=after))
        evolver(tmp_path, **settings).run(CANDIDATES, progress=False)

    assert in_a_fork(search) == -signal.SIGKILL
    result = evolver(tmp_path, **settings).run(CANDIDATES, progress=False)
    assert sequence(result) == uninterrupted
    lines = Log(tmp_path / "log").lines()
    assert len(set(lines)) == CANDIDATES
    assert len(lines) == CANDIDATES + twice


@pytest.mark.parametrize("write", [1, 2, 3])
def test_killed_between_the_attributes_of_one_outcome(tmp_path, uninterrupted, write):
    def search():
        log = Log(tmp_path / "log", lambda genome, *, seed: arm() or synthetic(genome, seed=seed))
        doomed = evolver(tmp_path, log)
        storage = doomed._ledger._storage

        def arm():
            if len(log.lines()) == 5:
                storage.set_trial_user_attr = dies(storage.set_trial_user_attr, write, after=False)

        doomed.run(CANDIDATES, progress=False)

    assert in_a_fork(search) == -signal.SIGKILL
    assert sequence(evolver(tmp_path).run(CANDIDATES, progress=False)) == uninterrupted
    assert len(Log(tmp_path / "log").lines()) == CANDIDATES + 1


def test_killed_between_study_and_settings(tmp_path, uninterrupted):
    def search():
        import optuna

        storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/search.db")
        storage.set_study_user_attr = dies(storage.set_study_user_attr, 1, after=False)
        evolver(tmp_path, storage=storage)

    assert in_a_fork(search) == -signal.SIGKILL
    assert sequence(evolver(tmp_path).run(CANDIDATES, progress=False)) == uninterrupted


def test_killed_again_and_again_in_the_middle_of_evaluations(tmp_path, uninterrupted):
    for moment in range(2, CANDIDATES, 3):

        def search(moment=moment):
            log = Log(tmp_path / "log", dies(synthetic, moment, after=False))
            evolver(tmp_path, log).run(CANDIDATES, progress=False)

        in_a_fork(search)
    assert sequence(evolver(tmp_path).run(CANDIDATES, progress=False)) == uninterrupted


SCRIPT = """
import sys
from pathlib import Path
from tests.evolve.evaluations import slow
from tests.evolve.test_resume import CANDIDATES, Log, evolver
if __name__ == "__main__":
    folder, workers = Path(sys.argv[1]), int(sys.argv[2])
    search = evolver(folder, Log(folder / "log", slow), overlap=workers or None)
    print("ready", flush=True)
    search.run(CANDIDATES, executor=workers or None, progress=False)
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_real_process_killed_by_the_clock(tmp_path, workers):
    script = tmp_path / "search.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for pause in (0.1, 0.4, 5.0 if workers else 0.7):
        process = subprocess.Popen(
            [sys.executable, script, str(tmp_path), str(workers)],
            env=environment,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout.readline() == b"ready\n"
        time.sleep(pause)
        process.kill()
        process.communicate()  # returns only when the workers, too, have let go of the pipe
    quiet = {"storage": None, "overlap": workers or None}
    whole = evolver(tmp_path, Log(os.devnull), **quiet).run(CANDIDATES, progress=False)
    resumed = evolver(tmp_path, Log(tmp_path / "log", slow), overlap=workers or None)
    before = [t for t in resumed.result.trials if t.state == "complete"]
    done = Log(tmp_path / "log").lines()
    result = resumed.run(CANDIDATES, progress=False)
    assert sequence(result) == sequence(whole)
    assert before == list(result.trials[: len(before)]) or workers
    new = Log(tmp_path / "log").lines()[len(done) :]
    assert len(set(new)) == len(new)
    assert not {f"{t.key} {t.seed}" for t in before} & set(new)
    # What was recorded in full but not yet called finished is not evaluated again either.
    assert CANDIDATES - len(before) - max(workers, 1) <= len(new) <= CANDIDATES - len(before)


def test_candidates_are_the_studys_total(tmp_path):
    search = evolver(tmp_path)
    search.run(4, progress=False)
    again = evolver(tmp_path)
    assert len(again.run(4, progress=False).trials) == 4
    assert len(again.run(3, progress=False).trials) == 4
    assert len(Log(tmp_path / "log").lines()) == 4
    assert len(again.run(6, progress=False).trials) == 6
    assert len(Log(tmp_path / "log").lines()) == 6


def test_overlap_makes_the_search_independent_of_the_workers(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    results = []
    for count in (1, 3, 3):
        with ThreadPoolExecutor(count) as executor:
            search = evolver(tmp_path, slow, storage=None, overlap=3)
            results.append(search.run(CANDIDATES, executor=executor, progress=False))
    assert sequence(results[0]) == sequence(results[1]) == sequence(results[2])
