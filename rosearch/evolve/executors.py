"""Where candidates are evaluated: in this process, in a pool of processes, or elsewhere.

Everything that runs in parallel comes down to a :class:`concurrent.futures.Executor`.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, ParamSpec, TypeVar

from typing_extensions import Self

from rosearch.errors import EvaluationError
from rosearch.evolve.records import Failure
from rosearch.space import Genome

P = ParamSpec("P")
R = TypeVar("R")


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


def evaluate_candidate(
    evaluate: Callable[..., Mapping[str, float]], genome: Genome, seed: int
) -> Outcome:
    """Evaluate one genome where this runs; what it raises becomes part of the outcome.

    The failure travels as text, because an exception may hold what cannot be pickled.
    """
    _limit_loaded_torch()
    start = time.perf_counter()
    try:
        metrics = plain_metrics(evaluate(genome, seed=seed))
    except Exception as error:  # noqa: BLE001 - whatever a candidate raises is its own failure
        return Outcome(None, Failure.from_exception(error), time.perf_counter() - start)
    return Outcome(metrics, None, time.perf_counter() - start)


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


class SerialExecutor(Executor):
    """Runs each call at once, in this process."""

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Call ``fn`` now and return a future that is done.

        An interrupt from the keyboard is not caught.
        """
        future: Future[R] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - an executor hands every exception on
            future.set_exception(error)
        return future


def process_pool(workers: int) -> ProcessPoolExecutor:
    """Fresh processes that share the cores evenly.

    Each process is spawned, not forked, because forked copies of PyTorch's thread pools hang.
    So a script that uses it needs ``if __name__ == "__main__":`` around its work. Each gets
    ``cores // workers`` threads, and ends by itself when this process is killed.

    Args:
        workers: Number of processes, at least 1.
    """
    if workers < 1:
        raise ValueError(f"Expected a number of worker processes of at least 1, got {workers!r}.")
    return ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(max(1, _cores() // workers),),
    )


class Workers:
    """One executor and how much work it takes at a time; a context manager.

    Args:
        executor: ``None`` for this process, a number for a process pool of that size that is shut
            down afterwards, or an executor that stays the caller's.
        workers: How many candidates an executor of the caller evaluates at a time. Needed
            where the executor does not tell.

    Raises:
        TypeError: ``executor`` is none of these.
        ValueError: The number of workers is below 1 or unknown.
    """

    def __init__(self, executor: Executor | int | None, *, workers: int | None = None) -> None:
        self.executor: Executor
        self._own_pool: int | None = None
        if executor is None:
            self.executor, self.count = SerialExecutor(), 1
            return
        if isinstance(executor, int):
            self.executor, self.count = process_pool(executor), executor
            self._own_pool = executor
            return
        if not callable(getattr(executor, "submit", None)):
            raise TypeError(
                f"executor is None, a number of processes, or a concurrent.futures.Executor; "
                f"got {executor!r}."
            )
        # Not part of the Executor interface, but both of Python's own pools have it.
        known = workers if workers is not None else getattr(executor, "_max_workers", None)
        if not isinstance(known, int) or known < 1:
            raise ValueError(
                f"How many candidates does {type(executor).__name__} evaluate at a time? It does "
                f"not tell; pass workers=, a number of at least 1 (got {known!r})."
            )
        self.executor, self.count = executor, known

    @property
    def is_own_pool(self) -> bool:
        """Whether a broken pool can be replaced here."""
        return self._own_pool is not None

    def check_picklable(self, evaluate: object) -> None:
        """Refuse what cannot be sent to another process.

        Raises:
            EvaluationError: ``evaluate`` cannot be pickled.
        """
        if not isinstance(self.executor, ProcessPoolExecutor):
            return
        try:
            pickle.dumps(evaluate)
        except Exception as error:
            raise EvaluationError(
                f"{evaluate!r} cannot be sent to worker processes ({error}). Use a function or "
                f"class from the top level of a module, or executor=None."
            ) from error

    def submit(
        self, evaluate: Callable[..., Mapping[str, float]], genome: Genome, seed: int
    ) -> Future[Outcome]:
        """Hand one candidate to the executor."""
        return self.executor.submit(evaluate_candidate, evaluate, genome, seed)

    def replace(self) -> None:
        """A fresh pool in place of the broken one."""
        if self._own_pool is not None:
            self.executor.shutdown(wait=False, cancel_futures=True)
            self.executor = process_pool(self._own_pool)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if not isinstance(self.executor, ProcessPoolExecutor) or not self.is_own_pool:
            return
        if kind is not None:
            # An interrupted or failed run does not wait for candidates that take minutes.
            for process in list((getattr(self.executor, "_processes", None) or {}).values()):
                with contextlib.suppress(Exception):
                    process.terminate()
        self.executor.shutdown(wait=True, cancel_futures=True)


def _number(name: object, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise EvaluationError(f"The metric {name!r} is no number: {value!r}.") from None


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


_THREADS_VARIABLE = "ROSEARCH_WORKER_THREADS"


def _start_worker(threads: int) -> None:
    """Set up a worker process: its threads, its end."""
    # These are read when PyTorch is loaded, which is after this unless the main script does it.
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
        os._exit(1)


def _limit_loaded_torch() -> None:
    """Set PyTorch's threads in a worker in which it was loaded before the worker was set up."""
    threads = os.environ.get(_THREADS_VARIABLE)
    torch = sys.modules.get("torch")
    if threads and torch is not None and torch.get_num_threads() > int(threads):
        torch.set_num_threads(int(threads))
