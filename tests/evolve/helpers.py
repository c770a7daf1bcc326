"""Helpers of several test files: killed processes, and what of two searches must be equal."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")


def sequence(search):
    return [(t.number, t.key, t.seed, t.state, dict(t.metrics), t.score) for t in search.trials]


def in_a_fork(body):
    """Run ``body`` in a forked process and return its exit code."""
    pid = os.fork()
    if pid == 0:
        try:
            body()
        except BaseException:  # noqa: BLE001
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


_FORKS = """
import importlib, os, sys
from tests.evolve.evaluations import FITNESS, SPACE, synthetic
from rosearch.evolve import Evolver
body = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])
Evolver(SPACE, synthetic, FITNESS, storage="sqlite://").run(1, progress=False)
for line in iter(sys.stdin.readline, ""):
    pid = os.fork()
    if pid == 0:
        print(os.getpid(), flush=True)
        body(*line.rstrip("\\n").split("\\t"))
        break
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Forks:
    """Processes that call a function, one after the other: forks of one new interpreter.

    It knows nothing of what the tests have done and has another seed for hashes. PyTorch is loaded
    once for all of them, which takes longer than most searches of tests. So is PyTorch's compiler,
    which the first search loads that stores FLOPs; therefore there is one in memory.

    Args:
        body: A function at the top level of a module. It takes texts, and prints ``ready`` once.
    """

    def __init__(self, body):
        self._parent = subprocess.Popen(
            [sys.executable, "-c", _FORKS, body.__module__, body.__name__],
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.killpg(self._parent.pid, signal.SIGKILL)  # and a fork that a failed test has left
        self._parent.communicate()

    def start(self, *arguments):
        """Start a process, wait until it is ready, and return its number."""
        self.send("\t".join(map(str, arguments)))
        pid = int(self._parent.stdout.readline())
        assert self._parent.stdout.readline() == "ready\n"
        return pid

    def send(self, line):
        """A line for the input of the process."""
        self._parent.stdin.write(f"{line}\n")
        self._parent.stdin.flush()

    def wait(self):
        """Wait for the end of the process and return its exit code."""
        return int(self._parent.stdout.readline())


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


def is_running(pid):
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for_end(pid, seconds=10):
    deadline = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_running(pid)
