"""Evaluation in processes of their own, which can be ended whatever they are doing.

A thread cannot be stopped from outside, and neither can code in C that never returns. So where a
candidate has a time limit, or where several are evaluated at a time, each runs in a child process
that waits for one candidate after the other and holds the evaluation meanwhile.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import hashlib
import math
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.util import Finalize
from typing import Any

from rosearch.errors import EvaluationError
from rosearch.evolve.records import Candidate, Failure

_THREADS_VARIABLE = "ROSEARCH_WORKER_THREADS"
_GRACE_SECONDS = 1.0
"""How long a process that is past its limit has to write down where it hangs."""
_TRACEBACK_LIMIT = 20_000
"""Characters of such a note that are kept."""
_LOOK_SECONDS = 0.5
"""How often a child is looked for that the pipes do not tell to be gone."""


class WorkerLostError(RuntimeError):
    """The process that evaluated a candidate has died; the text says how."""


class WorkerStartError(EvaluationError):
    """A process that should evaluate died before it was ready, so that the next one would too."""


@dataclass(frozen=True)
class Outcome:
    """What one evaluation came to.

    Attributes:
        metrics: Numbers by name; ``None`` when it failed.
        failure: Why it failed; ``None`` when it did not.
        seconds: Time it took.
    """

    metrics: Mapping[str, float] | None
    failure: Failure | None
    seconds: float


@dataclass(frozen=True, repr=False)
class Shared:
    """An evaluation as bytes, which a worker unpickles once and keeps.

    Attributes:
        data: The pickle.
        digest: Of the data; equal for equal evaluations.
    """

    data: bytes
    digest: str

    @classmethod
    def of(
        cls, evaluate: Callable[..., Any], dumps: Callable[[Any], bytes] = pickle.dumps
    ) -> Shared:
        """Pickle ``evaluate``.

        Raises:
            EvaluationError: It cannot be pickled.
        """
        try:
            data = dumps(evaluate)
        except Exception as error:
            raise EvaluationError(
                f"{evaluate!r} cannot be sent to worker processes ({error}). Use a function or "
                f"class from the top level of a module, or executor=None without a time limit."
            ) from error
        return cls(data, hashlib.blake2b(data, digest_size=16).hexdigest())

    def load(self) -> Any:
        """The evaluation; the one loaded last stays in the process."""
        with _loading:
            if _loaded.get("digest") != self.digest:
                _loaded.clear()  # two teachers at a time may be too much for the memory
                evaluate = pickle.loads(self.data)  # noqa: S301 - made by the search itself
                _loaded.update(evaluate=evaluate, digest=self.digest)
            return _loaded["evaluate"]


_loaded: dict[str, Any] = {}
_loading = threading.Lock()


def evaluate_candidate(
    evaluate: Callable[..., Mapping[str, float]], candidate: Candidate
) -> Outcome:
    """Evaluate one candidate where this runs; what it raises becomes part of the outcome.

    The failure travels as text, because an exception may hold what cannot be pickled.
    """
    _limit_loaded_torch()
    start = time.perf_counter()
    try:
        metrics = plain_metrics(evaluate(candidate.genome, **candidate.arguments))
    except Exception as error:  # noqa: BLE001 - whatever a candidate raises is its own failure
        return Outcome(None, Failure.from_exception(error), time.perf_counter() - start)
    return Outcome(metrics, None, time.perf_counter() - start)


def evaluate_shared(shared: Shared, candidate: Candidate) -> Outcome:
    """As :func:`evaluate_candidate`, with an evaluation that this process keeps."""
    try:
        evaluate = shared.load()
    except Exception as error:  # noqa: BLE001 - unpickling runs anyone's code
        return Outcome(None, Failure.from_exception(error), 0.0)
    return evaluate_candidate(evaluate, candidate)


def evaluate_apart(shared: Shared, candidate: Candidate, limit: float | None) -> Outcome:
    """As :func:`evaluate_shared`, in a child of this process, for ``limit`` seconds at most."""
    return _children().evaluate(shared, candidate, limit)


@functools.cache
def _children() -> Children:
    return Children()


def lost(error: BaseException) -> Outcome:
    """What came of a candidate whose worker died with ``error``, for the second time."""
    message = (
        f"Its worker died again ({type(error).__name__}: {error}). Out of memory is the usual "
        f"cause."
    )
    traceback = Failure.from_exception(error).traceback
    return Outcome(None, Failure("WorkerLost", message, traceback), 0.0)


def plain_metrics(metrics: Any) -> dict[str, float]:
    """``metrics`` as plain floats by name.

    Raises:
        EvaluationError: It is no mapping, or a value is no number.
    """
    if not isinstance(metrics, Mapping):
        raise EvaluationError(
            f"evaluate must return a mapping from metric names to numbers, got "
            f"{type(metrics).__name__}."
        )
    return {str(name): _number(name, value) for name, value in metrics.items()}


class Children:
    """Child processes of this one, as many as evaluate at a time; they stay for the next candidate.

    Args:
        threads: Threads that each may use for its computation; ``None`` leaves that to PyTorch.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
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
            WorkerStartError: It died before it was ready.
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
            outcome = child.evaluate(shared, candidate, limit)
        except BaseException:
            child.end()
            raise
        finally:
            with self._lock:
                self._busy.discard(child)
        if child.is_alive():
            with self._lock:
                self._idle.append(child)
        return outcome

    def end(self) -> None:
        """End all children, those at work too."""
        with self._lock:
            self._ended = True
            children = [*self._idle, *self._busy]
            self._idle.clear()
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
        with _leave_to_have_children():
            self._process.start()
        end.close()  # so that the pipe breaks when the child is gone
        note.close()
        self._is_ready = False
        self._has: str | None = None
        # Before multiprocessing waits for its children at the end of this process.
        self._finalize = Finalize(self, _end, (self._process,), exitpriority=10)

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def evaluate(self, shared: Shared, candidate: Candidate, limit: float | None) -> Outcome:
        if not self._is_ready:
            self._wait_for_start()
        if self._has != shared.digest:
            self._has = shared.digest
            self._send(shared)
            error = self._receive(None)
            if error is not None:
                self._has = None
                return Outcome(None, error, 0.0)
        self._noted()  # of a candidate that was done in the last moment
        start = time.monotonic()
        self._send((candidate, limit))
        outcome = self._receive(limit)
        if isinstance(outcome, Outcome):
            return outcome
        note = self._noted()
        self.end()
        seconds = time.monotonic() - start
        message = f"It was not done after {limit:g} seconds, so its process was ended."
        return Outcome(None, Failure("TimeLimit", message, note[:_TRACEBACK_LIMIT]), seconds)

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


def _end(process: Any) -> None:
    with contextlib.suppress(OSError):  # it has not come so far as to lead a group, or all is over
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
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


def _serve(pipe: Connection, threads: int | None, note: Connection) -> None:
    """What a child does: take an evaluation and then candidates, until its parent is gone."""
    os.setsid()  # whatever it starts ends with it
    start_worker(threads)
    pipe.send(True)
    evaluate: Any = None
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            return
        if isinstance(message, Shared):
            evaluate = None
            try:
                evaluate = message.load()
                pipe.send(None)
            except Exception as error:  # noqa: BLE001 - unpickling runs anyone's code
                pipe.send(Failure.from_exception(error))
            continue
        candidate, limit = message
        if limit is not None:
            # A watchdog in C, which writes even while no Python code can run.
            faulthandler.dump_traceback_later(limit, file=note.fileno())
        outcome = evaluate_candidate(evaluate, candidate)
        faulthandler.cancel_dump_traceback_later()
        pipe.send(outcome)


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
        os.environ[_THREADS_VARIABLE] = os.environ["OMP_NUM_THREADS"]
    # Ctrl-C reaches the whole process group; the main process alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="rosearch-parent-watch", daemon=True).start()


def _end_with_parent() -> None:
    """End this worker when the main process is gone, so that kill -9 leaves no orphans."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)


def _limit_loaded_torch() -> None:
    """Set PyTorch's threads in a worker in which it was loaded before the worker was set up."""
    threads = os.environ.get(_THREADS_VARIABLE)
    torch = sys.modules.get("torch")
    if threads and torch is not None and torch.get_num_threads() > int(threads):
        torch.set_num_threads(int(threads))


def _number(name: object, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise EvaluationError(f"The metric {name!r} is no number: {value!r}.") from None
