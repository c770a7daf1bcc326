"""Helpers of several test files: killed processes, and what of two searches must be equal."""

from __future__ import annotations

import functools
import os
import signal
import time
from pathlib import Path

import pytest

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
