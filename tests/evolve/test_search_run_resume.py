"""A search killed with SIGKILL goes on as if it had not been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rosearch.evolve import Evolver
from rosearch.evolve.study.ledger import Ledger
from rosearch.evolve.study.storage import open_storage
from tests.evolve.evaluations import FITNESS, SPACE, Log, slow, synthetic
from tests.evolve.helpers import dies, in_a_fork, needs_fork, sequence

ROOT = Path(__file__).parents[2]
CANDIDATES = 14

pytestmark = needs_fork


def storage_in(folder, kind="journal"):
    """A journal takes a third of the time that a database does."""
    return f"journal:///{folder}/search.log" if kind == "journal" else f"sqlite:///{folder}/s.db"


def evolver(folder, evaluate=None, **settings):
    settings = {"population": 5, "seed": 3, "storage": storage_in(folder)} | settings
    return Evolver(SPACE, evaluate or Log(folder / "log"), FITNESS, **settings)


@pytest.fixture(scope="module")
def uninterrupted():
    return sequence(evolver(Path(), Log(os.devnull), storage=None).run(CANDIDATES, progress=False))


# Method of the ledger, number of the call, killed before or after it, repeated evaluations.
MOMENTS = [
    ("add", 1, False, 0),
    ("add", 1, True, 0),  # the first trial is stored, its evaluation has not begun
    ("add", 9, True, 0),
    ("record", 8, False, 1),  # evaluated, but nothing is recorded
    ("record", 8, True, 0),
]


@pytest.mark.parametrize(("name", "call", "after", "repeated"), MOMENTS)
def test_killed_at_any_step_of_the_ledger(tmp_path, uninterrupted, name, call, after, repeated):
    def search():
        setattr(Ledger, name, dies(getattr(Ledger, name), call, after=after))
        evolver(tmp_path).run(CANDIDATES, progress=False)

    assert in_a_fork(search) == -signal.SIGKILL
    assert sequence(evolver(tmp_path).run(CANDIDATES, progress=False)) == uninterrupted
    lines = Log(tmp_path / "log").lines()
    assert len(set(lines)) == CANDIDATES
    assert len(lines) == CANDIDATES + repeated


# An outcome is three attributes, the last of which is the score, and then the state. So these are
# the writes of candidates 0 to 4, and after "call" further ones an outcome is complete or not.
@pytest.mark.parametrize("kind", ["sqlite", "journal"])
@pytest.mark.parametrize(("call", "repeated"), [(1, 1), (2, 1), (3, 1), (4, 0)])
def test_killed_before_any_write_of_an_outcome(tmp_path, uninterrupted, kind, call, repeated):
    storage = storage_in(tmp_path, kind)

    def search():
        opened = open_storage(storage)
        method = "set_trial_user_attr" if call < 4 else "set_trial_state_values"
        number = 4 * 3 + call if call < 4 else 5
        setattr(opened, method, dies(getattr(opened, method), number, after=False))
        evolver(tmp_path, storage=opened).run(CANDIDATES, progress=False)

    assert in_a_fork(search) == -signal.SIGKILL
    again = evolver(tmp_path, storage=storage)
    assert sequence(again.run(CANDIDATES, progress=False)) == uninterrupted
    assert len(Log(tmp_path / "log").lines()) == CANDIDATES + repeated


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_killed_between_study_and_settings(tmp_path, uninterrupted, kind):
    def search():
        storage = open_storage(storage_in(tmp_path, kind))
        storage.set_study_user_attr = dies(storage.set_study_user_attr, 1, after=False)
        evolver(tmp_path, storage=storage)

    assert in_a_fork(search) == -signal.SIGKILL
    again = evolver(tmp_path, storage=storage_in(tmp_path, kind))
    assert sequence(again.run(CANDIDATES, progress=False)) == uninterrupted


def test_killed_repeatedly_during_evaluations(tmp_path, uninterrupted):
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
from tests.evolve.test_search_run_resume import CANDIDATES, Log, evolver
if __name__ == "__main__":
    folder, workers = Path(sys.argv[1]), int(sys.argv[2])
    search = evolver(folder, Log(folder / "log", slow), overlap=workers or None)
    print("ready", flush=True)
    search.run(CANDIDATES, executor=workers or None, progress=False)
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_killed_at_fixed_times(tmp_path, workers):
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


def test_candidates_is_the_total_of_the_study(tmp_path):
    search = evolver(tmp_path)
    search.run(4, progress=False)
    again = evolver(tmp_path)
    assert len(again.run(4, progress=False).trials) == 4
    assert len(again.run(3, progress=False).trials) == 4
    assert len(Log(tmp_path / "log").lines()) == 4
    assert len(again.run(6, progress=False).trials) == 6
    assert len(Log(tmp_path / "log").lines()) == 6


def test_with_overlap_the_result_does_not_depend_on_the_workers(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    results = []
    for count in (1, 3, 3):
        with ThreadPoolExecutor(count) as executor:
            search = evolver(tmp_path, slow, storage=None, overlap=3)
            results.append(search.run(CANDIDATES, executor=executor, progress=False))
    assert sequence(results[0]) == sequence(results[1]) == sequence(results[2])
