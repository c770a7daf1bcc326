"""Ctrl-C, whenever it comes."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

import pytest

from rosearch.evolve.study.ledger import Ledger
from rosearch.evolve.workers import interrupts
from rosearch.evolve.workers.interrupts import Interrupts
from tests.evolve.evaluations import slow, synthetic
from tests.evolve.helpers import needs_proc, wait_for_end
from tests.evolve.workers.test_executors import SCRIPT, evolver, rows, script, start


def press():
    signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def keyboard():
    """Ctrl-C as Python itself has it; a test runner may have set something else."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


class Holding:
    """Work between Ctrl-C and the place where it is let through."""

    def __init__(self):
        self.done = []
        self.held = Interrupts()

    def do(self, work):
        """Raise what comes out of ``work``, within the block that holds Ctrl-C back."""
        with self.held:
            work(self)


def interrupted(work):
    holding = Holding()
    with pytest.raises(KeyboardInterrupt):
        holding.do(work)
    return holding


def test_ctrl_c_is_delayed_until_let_through():
    def work(self):
        press()
        self.done.append("change")
        with self.held.let_through():
            self.done.append("wait")

    after = interrupted(work)
    assert after.done == ["change"]
    assert not after.held.is_forced


def test_a_delayed_ctrl_c_is_raised_at_the_end():
    def work(self):
        press()
        self.done.append("change")

    assert interrupted(work).done == ["change"]


def test_ctrl_c_is_raised_at_once_within_let_through():
    def work(self):
        with self.held.let_through():
            press()
            self.done.append("wait")

    after = interrupted(work)
    assert not after.done
    assert not after.held.is_forced


def test_a_swallowed_ctrl_c_is_raised_after_let_through():
    def work(self):
        with self.held.let_through(), contextlib.suppress(KeyboardInterrupt):
            press()
        self.done.append("after")

    assert not interrupted(work).done


def test_a_second_ctrl_c_is_raised_anywhere(monkeypatch):
    def work(self):
        press()
        press()  # a key that is hit twice
        self.done.append("held")
        monkeypatch.setattr(interrupts, "_PATIENCE_SECONDS", -1.0)
        press()
        self.done.append("not forced")

    after = interrupted(work)
    assert after.done == ["held"]
    assert after.held.is_forced


def test_the_programs_own_handler_is_kept():
    pressed = []

    def handler(number, frame):
        pressed.append(number)

    signal.signal(signal.SIGINT, handler)
    with Interrupts() as held, held.let_through():
        press()
    assert pressed == [signal.SIGINT]
    assert signal.signal(signal.SIGINT, signal.default_int_handler) is handler


@pytest.mark.parametrize("method", ["add", "_finish", "release"])
def test_ctrl_c_never_interrupts_a_write(url, monkeypatch, method):
    change, done = getattr(Ledger, method), []
    monkeypatch.setattr(interrupts, "_PATIENCE_SECONDS", 600.0)

    def pressed(self, *args, **kwargs):
        press()
        result = change(self, *args, **kwargs)
        press()  # as a terminal and a wrapper of the command may both send it
        done.append(method)
        return result

    search = evolver(every_third_is_interrupted if method == "release" else synthetic, storage=url)
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, method, pressed)
        with pytest.raises(KeyboardInterrupt):
            search.run(6, progress=False)
    assert done == [method]
    assert rows(evolver(storage=url, evaluate=search.evaluate).run(6, progress=False)) == rows(
        evolver(evaluate=search.evaluate).run(6, progress=False)
    )


calls = []


def every_third_is_interrupted(genome, *, seed):
    calls.append(seed)
    if len(calls) == 3:
        raise KeyboardInterrupt
    return synthetic(genome, seed=seed)


class Collected:
    """Ctrl-C comes while Python collects this, where nothing can be raised."""

    def __del__(self):
        press()


def collecting(genome, *, seed):
    Collected()
    return synthetic(genome, seed=seed)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_in_a_garbage_collector_callback_ends_the_run():
    search = evolver(collecting)
    with pytest.raises(KeyboardInterrupt):
        search.run(5, progress=False)
    assert [t.state for t in search.result.trials] == ["running"]


STARTS_LONG = """
if __name__ != "__main__":  # a worker imports the script
    import os, sys, time
    from pathlib import Path
    Path(sys.argv[4], str(os.getpid())).touch()
    time.sleep(600)
"""
GUARDED = 'if __name__ == "__main__":\n    run()\n'


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("pressed", ["once", "twice", "for the search alone"])
def test_ctrl_c_while_workers_start_ends_them_silently(tmp_path, url, pressed):
    workers = tmp_path / "workers"
    workers.mkdir()
    path = tmp_path / "search.py"
    path.write_text(STARTS_LONG + SCRIPT + GUARDED)
    process = start(path, url, "5", "2", workers)
    deadline = time.monotonic() + 240
    while len(list(workers.iterdir())) < 2:
        assert time.monotonic() < deadline, "the workers did not come so far"
        time.sleep(0.05)
    (os.kill if pressed == "for the search alone" else os.killpg)(process.pid, signal.SIGINT)
    if pressed == "twice":
        time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode != 0
    assert all(wait_for_end(int(worker.name)) for worker in workers.iterdir())
    assert "spawn_main" not in errors
    if pressed != "twice":  # the second may come while Python ends
        said = errors.strip().splitlines()[-1]
        assert said.startswith("KeyboardInterrupt: 0 of 5 candidates of the study 'rosearch' are")
        assert errors.count("Traceback") == 1
    trials = evolver(slow, storage=url).result.trials
    assert {t.state for t in trials} == {"running"}


INTERRUPTS_OFTEN = """
if __name__ == "__main__":
    import random, signal, threading, time, warnings
    warnings.simplefilter("ignore")
    from rosearch.space.descriptors import descriptors
    from tests.evolve.evaluations import SPACE, synthetic
    # What the first candidate imports for seconds, meanwhile no interrupt is let through.
    descriptors(SPACE.sample(seed=0))
    for number in range(int(sys.argv[2])):
        search = evolver(synthetic, storage=sys.argv[1], study=str(number))
        wait = random.Random(number).uniform(0.0, 0.4)
        timer = threading.Timer(wait, signal.raise_signal, [signal.SIGINT])
        began = time.monotonic()
        try:
            timer.start()
            search.run(1000, progress=False)
        except KeyboardInterrupt:
            print(time.monotonic() - began - wait, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_ctrl_c_at_any_moment_ends_the_run(tmp_path, url):
    process = start(script(tmp_path, INTERRUPTS_OFTEN), url, "25", "1")
    output, errors = process.communicate(timeout=200)
    late = [float(line) for line in output.splitlines()]
    assert len(late) == 25, errors
    assert max(late) < 10
