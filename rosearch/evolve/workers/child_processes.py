"""Evaluation in processes of their own, which can be ended whatever they are doing.

A thread cannot be stopped from outside, and neither can code in C that never returns. So where a
candidate has a time limit, or where several are evaluated at a time, each runs in a child process
that waits for one candidate after the other and holds the evaluation meanwhile.
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
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.util import Finalize
from typing import Any

from tqdm import tqdm

from rosearch.evolve.study.trials import Candidate, Failure
from rosearch.evolve.workers.evaluation import (
    THREADS_VARIABLE,
    Outcome,
    Shared,
    WorkerLostError,
    WorkerStartError,
    evaluate_candidate,
)

_GRACE_SECONDS = 1.0
"""How long a process that is past its limit has to write down where it hangs."""
_TRACEBACK_LIMIT = 20_000
"""Characters of such a note that are kept."""
_LOOK_SECONDS = 0.5
"""How often a child is looked for that the pipes do not tell to be gone."""


def evaluate_apart(shared: Shared, candidate: Candidate, limit: float | None) -> Outcome:
    """As :func:`evaluate_shared`, in a child of this process, for ``limit`` seconds at most."""
    try:
        return _children().evaluate(shared, candidate, limit)
    except WorkerStartError as error:
        if error.failure is None:
            raise
        return Outcome(None, error.failure, 0.0)  # other machines may have what is missing here


@functools.cache
def _children() -> Children:
    return Children()


class Children:
    """Child processes of this one, as many as evaluate at a time; they stay for the next candidate.

    Args:
        threads: Threads that each may use for its computation; ``None`` leaves that to PyTorch.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
        self._loaded: set[str] = set()
        self._lock = threading.Lock()
        self._ended = False

    def start(self) -> None:
        """Start one now, so that what keeps processes from starting is raised here."""
        self._idle.append(_Child(self._threads))

    def evaluate(self, shared: Shared, candidate: Candidate, limit: float | None) -> Outcome:
        """Evaluate in a child that has nothing to do, or in a new one.

        Args:
            shared: The evaluation.
            candidate: What to evaluate.
            limit: Seconds after which the child is ended and the candidate has failed with the
                kind ``"TimeLimit"``. The start of a child and loading ``shared`` do not count.

        Raises:
            WorkerLostError: The child died.
            WorkerStartError: It died before it was ready, or cannot load the evaluation, which
                no other child has loaded either.
        """
        try:
            outcome: Outcome = self.call(evaluate_candidate, shared, candidate, limit)
        except WorkerStartError as error:
            if error.failure is None or shared.digest not in self._loaded:
                raise
            return Outcome(None, error.failure, 0.0)  # memory is short, say; the next may load it
        return outcome

    def call(
        self,
        function: Callable[[Any, Any], Any],
        shared: Shared,
        argument: object,
        limit: float | None = None,
    ) -> Any:
        """``function(what is shared, argument)`` in a child, as :meth:`evaluate` does.

        Args:
            function: Of the top level of a module; it must not raise, nor return ``None``.
            shared: Its first argument, which the child loads once.
            argument: Its second one.
            limit: Seconds, after which an :class:`Outcome` that says so is the result.

        Raises:
            WorkerLostError: The child died.
            WorkerStartError: It died before it was ready, or cannot load what is shared.
        """
        with self._lock:
            child = self._idle.pop() if self._idle else None
        if child is None or not child.is_alive():
            child = _Child(self._threads)
        with self._lock:
            self._busy.add(child)
        try:
            if self._ended:
                raise WorkerLostError("The run has ended.")
            failure = child.load(shared)
            result = child.call(function, argument, limit) if failure is None else None
        except BaseException:
            child.end()
            raise
        finally:
            with self._lock:
                self._busy.discard(child)
        if child.is_alive():
            with self._lock:
                self._idle.append(child)
        if failure is None:
            self._loaded.add(shared.digest)
            return result
        raise WorkerStartError(
            f"A worker process cannot load the evaluation ({failure}). What it is made of must be "
            f"found in another process too: functions and classes at the top level of a module "
            f"that can be imported, files where they were. There:\n{failure.traceback}",
            failure,
        )

    def end(self) -> None:
        """End all children, those at work too."""
        with self._lock:
            self._ended = True
            children = [*self._idle, *self._busy]
            self._idle.clear()
        for child in children:  # none goes on while another one's end is waited for
            child.kill()
        for child in children:
            child.end()


class _Child:
    """One child process, which leads a group of its own, and the pipes to it."""

    def __init__(self, threads: int | None) -> None:
        context = multiprocessing.get_context("spawn")  # forked copies of PyTorch's threads hang
        self._pipe, end = context.Pipe()
        self._note, note = context.Pipe(duplex=False)  # no file, which kill -9 would leave
        self._process = context.Process(
            target=_serve, args=(end, threads, note), name="rosearch-candidate"
        )
        with _leave_to_have_children(), _deaf_to_interrupts():
            self._process.start()
            # Before multiprocessing waits for its children at the end of this process.
            self._finalize = Finalize(self, _end, (self._process,), exitpriority=10)
        end.close()  # so that the pipe breaks when the child is gone
        note.close()
        self._is_ready = False
        self._has: str | None = None

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def load(self, shared: Shared) -> Failure | None:
        """Have the child load ``shared``; why it cannot."""
        if not self._is_ready:
            self._wait_for_start()
        if self._has == shared.digest:
            return None
        self._has = None
        self._send(shared)
        failure: Failure | None = self._receive(None)
        if failure is None:
            self._has = shared.digest
        return failure

    def call(
        self, function: Callable[[Any, Any], Any], argument: object, limit: float | None
    ) -> Any:
        self._noted()  # of a candidate that was done in the last moment
        start = time.monotonic()
        self._send((function, argument, limit))
        result = self._receive(limit)
        if result is not None:
            return result
        note = self._noted()
        self.end()
        seconds = time.monotonic() - start
        message = f"It was not done after {limit:g} seconds, so its process was ended."
        return Outcome(None, Failure("TimeLimit", message, note[:_TRACEBACK_LIMIT]), seconds)

    def kill(self) -> None:
        _kill(self._process)

    def end(self) -> None:
        self._finalize()

    def _wait_for_start(self) -> None:
        try:
            self._is_ready = self._receive(None)
        except WorkerLostError as error:
            raise WorkerStartError(
                f"A worker process died at its start ({error}); its error output says why. In a "
                f'script the search belongs below `if __name__ == "__main__":`, because each '
                f"worker process imports the script."
            ) from error

    def _send(self, message: object) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # told by what it receives
            self._pipe.send(message)

    def _receive(self, limit: float | None) -> Any:
        """What the child sends; ``None`` too when it sends nothing for ``limit`` seconds."""
        end = math.inf if limit is None else time.monotonic() + limit + _GRACE_SECONDS
        is_alive = True
        with contextlib.suppress(EOFError, OSError):
            while is_alive:
                left = end - time.monotonic()
                if left <= 0:
                    return None
                # Processes that a dead child has forked hold the pipes open.
                is_alive = self._process.is_alive()
                if wait([self._pipe], min(left, _LOOK_SECONDS) if is_alive else 0):
                    return self._pipe.recv()
        self._process.join()
        code = self._process.exitcode
        raise WorkerLostError(f"its process ended with exit code {code}")

    def _noted(self) -> str:
        """What the child has written about where it hangs since the last call."""
        parts = []
        with contextlib.suppress(OSError):
            while self._note.poll() and (part := os.read(self._note.fileno(), _TRACEBACK_LIMIT)):
                parts.append(part)
        return b"".join(parts).decode(errors="replace")


def _kill(process: Any) -> None:
    with contextlib.suppress(OSError):  # it has not come so far as to lead a group, or all is over
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def _end(process: Any) -> None:
    _kill(process)
    process.join()


@contextlib.contextmanager
def _leave_to_have_children() -> Iterator[None]:
    """Let a daemonic process, such as a worker of Dask, start children.

    It may not because they would outlive it; the children here end by themselves with it.
    """
    config: dict[str, Any] = getattr(multiprocessing.current_process(), "_config", {})
    with _starting:
        daemonic = config.pop("daemon", None)
        try:
            yield
        finally:
            if daemonic is not None:
                config["daemon"] = daemonic


_starting = threading.Lock()


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Start a process to which Ctrl-C means nothing before it has set itself up.

    It inherits the mask of the thread that starts it; :func:`start_worker` lifts it.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # at its own start it would lift the mask here
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, threads: int | None, note: Connection) -> None:
    """What a child does: load what is shared and then call, until its parent is gone."""
    os.setsid()  # whatever it starts ends with it
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
            except Exception as error:  # noqa: BLE001 - unpickling runs anyone's code
                pipe.send(Failure.from_exception(error))
            continue
        function, argument, limit = message
        if limit is not None:
            # A watchdog in C, which writes even while no Python code can run.
            faulthandler.dump_traceback_later(limit, file=note.fileno())
        result = function(loaded, argument)
        faulthandler.cancel_dump_traceback_later()
        pipe.send(result)


def start_worker(threads: int | None) -> None:
    """Set up a worker process: its threads, its end.

    Args:
        threads: Threads for its computation; ``None`` leaves them as they are.
    """
    if threads is not None:
        # These are read when PyTorch is loaded, which is after this unless the script does it.
        for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            given = os.environ.get(variable, "")
            os.environ[variable] = str(min(threads, int(given)) if given.isdigit() else threads)
        os.environ[THREADS_VARIABLE] = os.environ["OMP_NUM_THREADS"]
    # Bars of several processes do not take turns, as their lock would be left behind by a process
    # that is killed.
    tqdm.set_lock(threading.RLock())
    # Ctrl-C reaches the whole process group; the main process alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
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
