"""Evaluation in child processes, which can be killed at a time limit.

A thread cannot be stopped from outside, and neither can C code that never returns. So if there is
a time limit, or several candidates are evaluated at a time, each is evaluated in a child process
that loads the evaluation once and then evaluates one candidate after the other. Unlike the
processes of a ProcessPoolExecutor, one that dies or is killed does not affect the others.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.util import Finalize
from typing import Any, cast

from rosearch.evolve.study.trials import Candidate, Failure
from rosearch.evolve.workers.evaluation import (
    THREADS_VARIABLE,
    Outcome,
    Shared,
    WorkerLostError,
    WorkerStartError,
    evaluate_candidate,
)
from rosearch.evolve.workers.start_method import process_context, start_afresh
from rosearch.machine import cores
from rosearch.progress import use_thread_lock

_GRACE_SECONDS = 1.0
"""How long a process past its limit has to write the traceback of where it hangs."""
_MAX_TRACEBACK = 20_000
"""Characters of such a traceback that are kept."""
_POLL_SECONDS = 0.5
"""How often to check that a child is alive, since a closed pipe does not always tell."""


def evaluate_apart(shared: Shared, candidate: Candidate, limit: float | None) -> Outcome:
    """Like :func:`evaluate_shared`, in a child of this process, for at most ``limit`` seconds."""
    try:
        return _children().evaluate(shared, candidate, limit)
    except WorkerStartError as error:
        if error.failure is None:
            raise
        return Outcome(None, error.failure, 0.0)  # other machines may have what is missing here


@functools.cache
def _children() -> ChildProcesses:
    return ChildProcesses()


class ChildProcesses:
    """Child processes of this one; there are as many as there are evaluations at a time.

    Args:
        workers: Evaluations at a time, between which the cores are divided. ``None`` leaves the
            number of threads of a child to PyTorch.

    Attributes:
        pool: As many threads, to wait for the children.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.pool = ThreadPoolExecutor(workers, "rosearch-worker")
        self._threads = None if workers is None else max(1, cores() // workers)
        self._all: set[_Child] = set()
        self._idle: list[_Child] = []
        self._loaded: set[str] = set()
        self._ended = False

    def start(self) -> None:
        """Start one child now, so that an error at its start is raised here."""
        self._idle.append(self._new_child())

    def close(self) -> None:
        """Kill all children, including those that are working, and end the threads."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        self._ended = True  # before the children are listed: none starts work afterwards
        children = list(self._all)
        for child in children:  # all before waiting for any
            child.kill()
        for child in children:
            child.end()
        self.pool.shutdown(wait=True)

    def evaluate(self, shared: Shared, candidate: Candidate, limit: float | None) -> Outcome:
        """Evaluate a candidate in an idle child, or in a new one.

        Args:
            shared: The evaluation.
            candidate: The candidate.
            limit: Seconds after which the child is killed and the candidate has failed with the
                kind ``"TimeLimit"``. Starting the child and loading ``shared`` do not count.

        Raises:
            WorkerLostError: The child died.
            WorkerStartError: The child died before it was ready, or cannot load the evaluation,
                which no other child has loaded either.
        """
        try:
            return cast("Outcome", self.call(evaluate_candidate, shared, candidate, limit))
        except WorkerStartError as error:
            if error.failure is None or shared.digest not in self._loaded:
                raise
            return Outcome(None, error.failure, 0.0)  # probably short of memory

    def call(
        self,
        function: Callable[[Any, Any], Any],
        shared: Shared,
        argument: object,
        limit: float | None = None,
    ) -> Any:
        """Call ``function(shared object, argument)`` in a child.

        Args:
            function: At the top level of a module; it must not raise, nor return ``None``.
            shared: Its first argument, which the child loads once.
            argument: Its second argument.
            limit: Seconds after which the child is killed; the result is then an
                :class:`Outcome` that says so.

        Raises:
            WorkerLostError: The child died.
            WorkerStartError: The child died before it was ready, or cannot load ``shared``.
        """
        child = self._idle.pop() if self._idle else self._new_child()
        if not child.is_alive():
            self._all.discard(child)
            child = self._new_child()
        try:
            if self._ended:
                raise WorkerLostError("The run has ended.")
            failure = child.load(shared)
            result = child.call(function, argument, limit) if failure is None else None
        except BaseException:
            self._all.discard(child)
            child.end()
            raise
        if child.is_alive():
            self._idle.append(child)
        if failure is None:
            self._loaded.add(shared.digest)
            return result
        raise WorkerStartError(
            f"A worker process cannot load the evaluation ({failure}). All its parts must be "
            f"available in another process: functions and classes at the top level of a module "
            f"that can be imported, files at the same path. Its traceback:\n{failure.traceback}",
            failure,
        )

    def _new_child(self) -> _Child:
        child = _Child(self._threads)
        self._all.add(child)
        return child


class _Child:
    """One child process, which leads a process group, and the pipes to it."""

    def __init__(self, threads: int | None) -> None:
        with _blocked_interrupts():
            context = process_context()
        is_copy = context.get_start_method() == "forkserver"
        self._pipe, pipe = context.Pipe()
        # A pipe for tracebacks, since a file would be left behind by kill -9.
        self._tracebacks, tracebacks = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_serve,
            args=(pipe, threads, tracebacks, dict(os.environ) if is_copy else None),
            name="rosearch-candidate",
        )
        with _allowed_to_have_children(), _blocked_interrupts():
            self._process.start()
            # Before multiprocessing waits for its children at the end of this process.
            self.end = Finalize(self, _end, (self._process,), exitpriority=10)
        pipe.close()  # so that the pipe breaks when the child is gone
        tracebacks.close()
        self._is_ready = False
        self._loaded: str | None = None

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def load(self, shared: Shared) -> Failure | None:
        """Make the child load ``shared``; returns the failure if it cannot."""
        if not self._is_ready:
            self._wait_for_start()
        if self._loaded == shared.digest:
            return None
        self._loaded = None
        self._send(shared)
        failure: Failure | None = self._receive(None)
        if failure is None:
            self._loaded = shared.digest
        return failure

    def call(
        self, function: Callable[[Any, Any], Any], argument: object, limit: float | None
    ) -> Any:
        self._read_traceback()  # of a candidate that finished just in time
        start = time.monotonic()
        self._send((function, argument, limit))
        result = self._receive(limit)
        if result is not None:
            return result
        traceback = self._read_traceback()
        self.end()
        message = f"It was not finished after {limit:g} seconds, so its process was killed."
        failure = Failure("TimeLimit", message, traceback[:_MAX_TRACEBACK])
        return Outcome(None, failure, time.monotonic() - start)

    def kill(self) -> None:
        _kill(self._process)

    def _wait_for_start(self) -> None:
        try:
            self._is_ready = self._receive(None)
        except WorkerLostError as error:
            raise WorkerStartError(
                f"A worker process died at its start ({error}); its error output says why. In a "
                f'script the search must be below `if __name__ == "__main__":`, because each '
                f"worker process imports the script."
            ) from error

    def _send(self, message: object) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # _receive will tell
            self._pipe.send(message)

    def _receive(self, limit: float | None) -> Any:
        """The next message of the child; ``None`` also if there is none within ``limit`` seconds.

        Raises:
            WorkerLostError: The child died.
        """
        end = math.inf if limit is None else time.monotonic() + limit + _GRACE_SECONDS
        is_alive = True
        with contextlib.suppress(EOFError, OSError):
            while is_alive:
                left = end - time.monotonic()
                if left <= 0:
                    return None
                # Processes that a dead child has forked keep its end of the pipe open.
                is_alive = self._process.is_alive()
                if wait([self._pipe], min(left, _POLL_SECONDS) if is_alive else 0):
                    return self._pipe.recv()
        self._process.join()
        raise WorkerLostError(f"its process ended with exit code {self._process.exitcode}")

    def _read_traceback(self) -> str:
        parts = []
        with contextlib.suppress(OSError):
            while self._tracebacks.poll():
                part = os.read(self._tracebacks.fileno(), _MAX_TRACEBACK)
                if not part:
                    break
                parts.append(part)
        return b"".join(parts).decode(errors="replace")


def _kill(process: Any) -> None:
    with contextlib.suppress(OSError):  # it does not lead a group yet, or has ended
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _end(process: Any) -> None:
    _kill(process)
    process.join()


_starting = threading.Lock()


@contextlib.contextmanager
def _allowed_to_have_children() -> Iterator[None]:
    """Let a daemonic process, such as a worker of Dask, start children.

    Python forbids it because they might outlive it; these children end with their parent.
    """
    config: dict[str, Any] = getattr(multiprocessing.current_process(), "_config", {})
    with _starting:
        daemonic = config.pop("daemon", None)
        try:
            yield
        finally:
            if daemonic is not None:
                config["daemon"] = daemonic


@contextlib.contextmanager
def _blocked_interrupts() -> Iterator[None]:
    """Start a process that ignores Ctrl-C before it has set itself up.

    It inherits the signal mask of the thread that starts it; :func:`start_worker` lifts it.
    """
    resource_tracker.ensure_running()  # it would lift the mask if it were started below
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(
    pipe: Connection,
    threads: int | None,
    tracebacks: Connection,
    variables: Mapping[str, str] | None,
) -> None:
    """The loop of a child: load a shared object, and call functions with it."""
    if variables is not None:
        start_afresh(variables)
    os.setsid()  # what it starts is killed with it
    start_worker(threads)
    pipe.send(True)
    loaded: Any = None
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            return
        if isinstance(message, Shared):
            loaded = None
            try:
                loaded = message.load()
                pipe.send(None)
            except Exception as error:  # noqa: BLE001 - unpickling runs the user's code
                pipe.send(Failure.from_exception(error))
            continue
        function, argument, limit = message
        if limit is not None:
            # A watchdog in C, which writes even if no Python code can run.
            faulthandler.dump_traceback_later(limit, file=tracebacks.fileno())
        result = function(loaded, argument)
        faulthandler.cancel_dump_traceback_later()
        pipe.send(result)


def start_worker(threads: int | None) -> None:
    """Set up a worker process: its number of threads, Ctrl-C, and its end.

    Args:
        threads: Threads for its computation; ``None`` does not change them.
    """
    if threads is not None:
        # Read when PyTorch is loaded, which is later unless the script imports it.
        for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            given = os.environ.get(variable, "")
            os.environ[variable] = str(min(threads, int(given)) if given.isdigit() else threads)
        os.environ[THREADS_VARIABLE] = os.environ["OMP_NUM_THREADS"]
    use_thread_lock()
    # Ctrl-C reaches the whole process group; the main process alone handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, name="rosearch-parent-watch", daemon=True).start()


def _end_with_parent() -> None:
    """End this worker when the main process is gone, so that kill -9 leaves no orphans."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)
