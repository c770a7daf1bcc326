"""Where candidates run: pools, dying workers, executors of the caller."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from rosearch.errors import EvaluationError
from rosearch.evolve import Evolver, RandomSearch
from rosearch.evolve.workers.executors import SerialExecutor, Workers
from tests.evolve.evaluations import FITNESS, SPACE, KillsItself, Troubled, slow, synthetic, threads

ROOT = Path(__file__).parents[3]


def evolver(evaluate=synthetic, **settings):
    return Evolver(SPACE, evaluate, FITNESS, **({"population": 5, "seed": 2} | settings))


def rows(result):
    return [(t.number, t.key, t.seed, t.state, t.score) for t in result.trials]


def test_serial_executor_runs_at_once_and_returns_exceptions():
    with SerialExecutor() as executor:
        assert executor.submit(max, 1, 2).result() == 2
        assert isinstance(executor.submit(int, "x").exception(), ValueError)
        with pytest.raises(KeyboardInterrupt):
            executor.submit(lambda: (_ for _ in ()).throw(KeyboardInterrupt))


@pytest.mark.slow
def test_two_processes_give_the_serial_result():
    serial = evolver(overlap=2).run(8, progress=False)
    pooled = evolver(overlap=2).run(8, executor=2, progress=False)
    assert rows(pooled) == rows(serial)


def test_workers_share_the_cores():
    result = evolver(threads).run(1, executor=2, progress=False)
    omp, torch_threads = (result.trials[0].metrics[name] for name in ("omp", "torch"))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert omp * 2 <= max(cores, 2)
    assert torch_threads * 2 <= max(cores, 2)


def test_a_candidate_is_retried_if_its_worker_dies(tmp_path):
    whole = evolver(KillsItself(())).run(6, progress=False)
    victim = whole.trials[2]
    evaluate = KillsItself([victim.seed], once=tmp_path / "died")
    result = evolver(evaluate).run(6, executor=1, progress=False)
    assert (tmp_path / "died").exists()
    assert rows(result) == rows(whole)


@pytest.mark.slow
def test_a_candidate_that_kills_two_workers_fails_alone():
    whole = evolver(KillsItself(()), overlap=2).run(4, progress=False)
    victim = whole.trials[1]
    result = evolver(KillsItself([victim.seed]), overlap=2).run(4, executor=2, progress=False)
    assert [t.state for t in result.trials] == ["complete", "failed", "complete", "complete"]
    assert result.trials[1].failure.kind == "WorkerLost"
    assert "memory ran out" in result.trials[1].failure.message


class DiesThenWaits:
    """Kills its first process with one seed; notes when every evaluation begins and ends."""

    def __init__(self, folder, seed):
        self.folder, self.seed = Path(folder), seed

    def __call__(self, genome, *, seed):
        begin = time.time()
        if seed == self.seed:
            if not (self.folder / "died").exists():
                (self.folder / "died").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(4)  # longer than the search looks for news
        (self.folder / f"{seed}.txt").write_text(f"{begin} {time.time()}")
        return synthetic(genome, seed=seed)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_retried_candidate_runs_alone(tmp_path):
    whole = evolver(overlap=None, strategy="random").run(6, progress=False)
    victim = whole.trials[0].seed
    search = evolver(DiesThenWaits(tmp_path, victim), overlap=None, strategy="random")
    result = search.run(6, executor=2, progress=False)
    assert [t.state for t in result.trials] == ["complete"] * 6
    times = {p.stem: tuple(map(float, p.read_text().split())) for p in tmp_path.glob("*.txt")}
    begin, end = times.pop(str(victim))
    assert all(last <= begin or first >= end for first, last in times.values())


def test_workers_needs_an_executor():
    with pytest.raises(ValueError, match="executor=4"):
        evolver().run(3, workers=4, progress=False)


def test_the_callers_executor_is_not_shut_down():
    with ThreadPoolExecutor(3) as executor:
        result = evolver().run(7, executor=executor, progress=False)
        assert executor.submit(max, 1, 2).result() == 2
    assert [t.state for t in result.trials] == ["complete"] * 7


def troubled_search():
    """A search that meets each trouble once."""
    # Random, so that the candidates are the same whatever became of those before.
    settings = {"strategy": RandomSearch(), "overlap": 2}
    whole = evolver(Troubled({}), **settings).run(6, progress=False)
    kinds = ("raise", "memory", "nan", "kill", "hang")
    troubles = zip((t.seed for t in whole.trials[1:]), kinds, strict=True)
    return evolver(Troubled(troubles), **settings)


def check_troubled(result):
    """That each of its candidates has been recorded as it should be."""
    failures = {t.number: t.failure for t in result.trials if t.failure}
    assert [t.state for t in result.trials] == ["complete", *["failed"] * 5, "complete"]
    assert failures[1].kind == "RuntimeError"
    assert failures[2].kind == "MemoryError"
    assert "accuracy" in failures[3].message
    assert "nan" in failures[3].message.lower()
    assert failures[4].kind == "WorkerLost"
    assert "memory ran out" in failures[4].message
    assert failures[5].kind == "TimeLimit"
    assert "evaluations.py" in failures[5].traceback


class Cluster(Executor):
    """An executor of another library: it does not tell its size, and loses work."""

    def __init__(self, losses=()):
        self.losses = list(losses)
        self.count = 0

    def submit(self, fn, /, *args, **kwargs):
        self.count += 1
        future = Future()
        if self.count in self.losses:
            future.set_exception(ConnectionError("worker lost"))
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def test_an_executor_of_unknown_size_needs_workers():
    with pytest.raises(ValueError, match="workers="):
        evolver().run(3, executor=Cluster(), progress=False)
    result = evolver().run(3, executor=Cluster(), workers=2, progress=False)
    assert len(result.trials) == 3


def test_a_lost_candidate_is_retried_once():
    result = evolver().run(4, executor=Cluster([2]), workers=1, progress=False)
    assert [t.state for t in result.trials] == ["complete"] * 4
    result = evolver().run(4, executor=Cluster([2, 3]), workers=1, progress=False)
    assert [t.state for t in result.trials] == ["complete", "failed", "complete", "complete"]
    assert "worker lost" in result.trials[1].failure.message


def test_a_run_on_a_closed_executor_releases_its_candidate(url):
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    search = evolver(storage=url)
    with pytest.raises(RuntimeError):
        search.run(3, executor=executor, progress=False)
    assert rows(evolver(storage=url).run(3, progress=False)) == rows(
        evolver().run(3, progress=False)
    )


def test_an_evaluation_that_cannot_be_pickled_ends_the_run_at_once():
    search = evolver(lambda genome, *, seed: {})
    with pytest.raises(EvaluationError, match="top level of a module"):
        search.run(3, executor=2, progress=False)
    assert search.result.trials == ()


class Unloadable:
    """Can be pickled, but not unpickled."""

    settings = {"what": "synthetic"}

    def __setstate__(self, state):
        raise FileNotFoundError("the teacher is gone")

    def __getstate__(self):
        return {"teacher": "here"}

    def __call__(self, genome, *, seed):
        return synthetic(genome, seed=seed)


@pytest.mark.parametrize("executor", [2, None])
def test_an_evaluation_that_no_worker_can_load_ends_the_run(executor):
    search = evolver(Unloadable())
    with pytest.raises(EvaluationError, match=r"cannot load the evaluation .*teacher is gone"):
        search.run(3, executor=executor, time_limit=60, progress=False)
    assert {t.state for t in search.result.trials} == {"running"}  # given back


def test_invalid_executors_and_time_limits_are_refused():
    for executor in (0, -1):
        with pytest.raises(ValueError, match="whole number from 1"):
            Workers(synthetic, executor)
    with pytest.raises(ValueError, match="executor must be None"):
        Workers(synthetic, "two")
    for seconds in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="time_limit must be a finite number above 0"):
            Workers(synthetic, None, time_limit=seconds)


@pytest.mark.slow
@pytest.mark.parametrize("executor", [None, 2])
def test_each_kind_of_failure_is_recorded(executor):
    search = troubled_search()
    check_troubled(search.run(7, executor=executor, time_limit=1, progress=False))


def test_a_memory_error_fails_only_its_candidate():
    whole = evolver(Troubled({})).run(2, progress=False)
    search = evolver(Troubled({whole.trials[1].seed: "memory"}))
    result = search.run(3, progress=False)
    assert [t.state for t in result.trials] == ["complete", "failed", "complete"]
    assert result.trials[1].failure.kind == "MemoryError"


def test_a_time_limit_does_not_change_the_result():
    assert rows(evolver().run(4, time_limit=60, progress=False)) == rows(
        evolver().run(4, progress=False)
    )


SCRIPT = """
import sys
from tests.evolve.evaluations import slow
from tests.evolve.workers.test_executors import evolver
def run():
    search = evolver(slow, storage=sys.argv[1])
    print("ready", flush=True)
    search.run(int(sys.argv[2]), executor=int(sys.argv[3]), progress=False)
"""


def script(tmp_path, ending):
    path = tmp_path / "search.py"
    path.write_text(SCRIPT + ending)
    return path


def start(path, *arguments):
    return subprocess.Popen(
        [sys.executable, path, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell makes its background jobs ignore Ctrl-C, and their children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_ctrl_c_ends_the_run_and_its_workers(tmp_path, url):
    process = start(script(tmp_path, 'if __name__ == "__main__":\n    run()\n'), url, "100000", "2")
    assert process.stdout.readline() == "ready\n"
    watch = evolver(slow, storage=url)
    deadline = time.monotonic() + 240
    while sum(t.state == "complete" for t in watch.result.trials) < 8:
        assert time.monotonic() < deadline, "too few candidates finished"
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    said = errors.strip().splitlines()[-1]
    assert re.search(r"^KeyboardInterrupt: \d+ of 100000 candidates .* finished and stored", said)
    assert errors.count("Traceback") == 1  # none from the workers
    trials = watch.result.trials
    again = evolver(slow, storage=url).run(len(trials), progress=False)
    assert {t.state for t in again.trials} == {"complete"}


@pytest.mark.slow
def test_a_script_without_a_main_guard_gets_an_explanation(tmp_path, url):
    process = start(script(tmp_path, "run()\n"), url, "5", "1")
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "below `if __name__ ==" in errors
    trials = evolver(slow, storage=url).result.trials
    assert [t.state for t in trials] == ["running"]  # given back, and not held against it
