"""Child processes that evaluate: kept, loaded once, ended when the time is over."""

from __future__ import annotations

import functools
import os
import pickle
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rosearch.errors import EvaluationError
from rosearch.evolve.study.trials import Candidate
from rosearch.evolve.workers.child_processes import ChildProcesses, evaluate_apart
from rosearch.evolve.workers.evaluation import (
    Shared,
    WorkerLostError,
    WorkerStartError,
    evaluate_shared,
)
from tests.evolve.evaluations import SPACE, Troubled, synthetic
from tests.evolve.helpers import needs_proc, wait_for_end

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
    children = ChildProcesses(1)
    yield children
    children.close()


def test_a_child_is_reused_and_loads_an_evaluation_once(children, tmp_path):
    shared = Shared.of(Loaded(tmp_path))
    outcomes = [children.evaluate(shared, candidate(n), None) for n in range(3)]
    assert [o.metrics["loaded"] for o in outcomes] == [1, 1, 1]
    assert len({o.metrics["process"] for o in outcomes} - {os.getpid()}) == 1
    other = children.evaluate(Shared.of(synthetic), candidate(4), None)
    assert other.metrics == synthetic(candidate().genome, seed=4)


def test_an_evaluation_that_no_child_can_load_is_refused(children, tmp_path):
    shared = Shared.of(Loaded(tmp_path, fails=True))
    with pytest.raises(WorkerStartError, match=r"cannot load .*the teacher is gone") as caught:
        children.evaluate(shared, candidate(), 5)
    assert str(caught.value.failure) == "FileNotFoundError: the teacher is gone"
    copy = pickle.loads(pickle.dumps(caught.value))  # as it comes from a cluster
    assert (str(copy), copy.failure) == (str(caught.value), caught.value.failure)
    fine = children.evaluate(Shared.of(TROUBLED), candidate(), 5)
    assert fine.failure is None


class LoadedOnce(Loaded):
    """As ``Loaded``, for the first process that unpickles it alone."""

    def __setstate__(self, state):
        vars(self).update(state)
        mine = self.folder / str(os.getpid())
        if any(self.folder.iterdir()) and not mine.exists():
            raise MemoryError("no room for the teacher")
        mine.touch()


def test_a_load_error_after_a_success_fails_the_candidate(tmp_path):
    children = ChildProcesses(1)
    shared = Shared.of(LoadedOnce(tmp_path))
    first = children.evaluate(shared, candidate(), 5)
    os.kill(int(first.metrics["process"]), signal.SIGKILL)
    (child,) = children._idle
    child._process.join()  # a process that is no more but whose threads are ending passes for alive
    outcome = children.evaluate(shared, candidate(), 5)
    children.close()
    assert str(outcome.failure) == "MemoryError: no room for the teacher"


def test_a_load_error_on_a_cluster_fails_the_candidate(children, monkeypatch, tmp_path):
    monkeypatch.setattr("rosearch.evolve.workers.child_processes._children", lambda: children)
    shared = Shared.of(Loaded(tmp_path, fails=True))
    for outcome in (evaluate_apart(shared, candidate(), 5), evaluate_shared(shared, candidate())):
        assert outcome.metrics is None
        assert str(outcome.failure) == "FileNotFoundError: the teacher is gone"


def test_c_code_that_hangs_is_killed_with_a_traceback(children):
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


def test_the_time_limit_excludes_the_start_of_a_child(children):
    outcome = children.evaluate(Shared.of(synthetic), candidate(), 0.05)
    assert outcome.failure is None


def test_a_dead_child_is_not_a_failed_evaluation(children):
    shared = Shared.of(TROUBLED)
    with pytest.raises(WorkerLostError, match="exit code -9"):
        children.evaluate(shared, candidate(2), None)
    assert children.evaluate(shared, candidate(3), None).failure.kind == "RuntimeError"


def test_end_leaves_no_process_and_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    children = ChildProcesses()
    outcome = children.evaluate(Shared.of(functools.partial(process, tmp_path)), candidate(), None)
    assert not list(tmp_path.iterdir())  # while it is at work too: it may be killed
    children.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(outcome.metrics["process"]), 0)
    with pytest.raises(WorkerLostError, match="ended"):
        children.evaluate(Shared.of(synthetic), candidate(), None)
    assert not list(tmp_path.iterdir())


class Forks:
    """Starts a process that sleeps, as a DataLoader does, and then dies, hangs or returns.

    Args:
        path: The number of the process is written there.
        then: What it does.
    """

    def __init__(self, path, then):
        self.path = Path(path)
        self.then = then

    def __call__(self, genome, *, seed):
        pid = os.fork()  # it inherits the pipes
        if pid == 0:
            time.sleep(60)
            os._exit(0)
        self.path.write_text(str(pid))
        if self.then == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.then == "hang":
            time.sleep(60)
        return {"process": os.getpid()}


@needs_proc
def test_a_dead_child_is_noticed_while_its_forked_process_lives(children, tmp_path):
    start = time.monotonic()
    with pytest.raises(WorkerLostError, match="exit code -9"):
        children.evaluate(Shared.of(Forks(tmp_path / "pid", "die")), candidate(), None)
    assert time.monotonic() - start < 30
    assert wait_for_end(int((tmp_path / "pid").read_text()))


@needs_proc
def test_processes_of_a_candidate_are_killed_at_the_time_limit(children, tmp_path):
    shared = Shared.of(Forks(tmp_path / "pid", "hang"))
    assert children.evaluate(shared, candidate(), 0.3).failure.kind == "TimeLimit"
    assert wait_for_end(int((tmp_path / "pid").read_text()))


PARENT = """
import sys
from pathlib import Path
from rosearch.evolve.workers.child_processes import ChildProcesses
from rosearch.evolve.workers.evaluation import Shared
from tests.evolve.workers.test_child_processes import Forks, candidate

if __name__ == "__main__":
    ChildProcesses(1).evaluate(Shared.of(Forks(Path(sys.argv[1]), "hang")), candidate(), None)
"""


@needs_proc
def test_processes_of_a_candidate_end_with_a_killed_search(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    search = subprocess.Popen([sys.executable, script, tmp_path / "pid"], env=environment)
    deadline = time.monotonic() + 120
    while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.2)  # the number is written
    search.kill()
    search.wait()
    assert wait_for_end(int((tmp_path / "pid").read_text()))


def test_a_late_traceback_is_not_given_to_the_next_candidate(children):
    late = children.evaluate(Shared.of(Naps(0.5)), candidate(), 0.2)
    assert late.failure is None  # done in the time that it has to write down where it hangs
    outcome = children.evaluate(Shared.of(TROUBLED), candidate(1), 0.2)
    assert "evaluations.py" in outcome.failure.traceback
    assert "test_child_processes.py" not in outcome.failure.traceback


class Naps:
    def __init__(self, seconds):
        self.seconds = seconds

    def __call__(self, genome, *, seed):
        time.sleep(self.seconds)
        return {}


def test_an_evaluation_that_cannot_be_pickled_is_refused():
    with pytest.raises(EvaluationError, match="top level of a module"):
        Shared.of(lambda genome, *, seed: {})


_ALLOCATING = """
import resource, sys
import numpy as np
from rosearch.evolve.workers.evaluation import evaluate_candidate
from tests.evolve.workers.test_child_processes import candidate

def faults(genome, *, seed):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(1000):
        np.ones(32768)  # a quarter of a MiB, 64 pages
    return {"faults": resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before}

print(evaluate_candidate(faults, candidate()).metrics["faults"])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these thresholds")
def test_dask_workers_reuse_the_memory_of_tensors():
    def faults(threshold: str) -> float:
        environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": threshold}
        command = [sys.executable, "-c", _ALLOCATING]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return float(done.stdout)

    assert faults("65537") > 32_000  # so there is something to repair
    assert faults("65536") < 3_200


BARS = """
import rosearch as rs
from tests.evolve.evaluations import FITNESS, SPACE, synthetic
from tqdm.auto import tqdm

def evaluate(genome, *, seed):
    for _ in tqdm(range(3)):
        pass
    return synthetic(genome, seed=seed)

if __name__ == "__main__":
    print(rs.Evolver(SPACE, evaluate, FITNESS).run(3, executor=2, progress=False))
"""


@pytest.mark.slow
def test_progress_bars_in_children_leave_no_lock(tmp_path):
    script = tmp_path / "bars.py"
    script.write_text(BARS)
    done = subprocess.run(
        [sys.executable, script],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "3 complete" in done.stdout
    assert "3/3" in done.stderr  # a bar
    assert "leaked" not in done.stderr
