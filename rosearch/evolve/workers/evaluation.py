"""One evaluation: how it travels to a process, what it comes to, what can happen on the way."""

from __future__ import annotations

import ctypes
import hashlib
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from rosearch.errors import EvaluationError
from rosearch.evolve.study.trials import Candidate, Failure

THREADS_VARIABLE = "ROSEARCH_WORKER_THREADS"
"""Names the threads that a worker may use for its computation."""

_TRIM_VARIABLE, _TRIM_OF_DASK = "MALLOC_TRIM_THRESHOLD_", "65536"
_TRIM, _MMAP = -1, -3
"""``M_TRIM_THRESHOLD`` and ``M_MMAP_THRESHOLD`` of glibc's ``malloc.h``."""
_MMAP_MOST = 32 * 2**20
"""The most that glibc raises the latter to by itself; it keeps the former at twice that."""


class WorkerLostError(RuntimeError):
    """The process that evaluated a candidate has died; the text says how."""


class WorkerStartError(EvaluationError):
    """A process that should evaluate cannot begin, so that the next one could not either.

    Attributes:
        failure: Why it cannot load the evaluation; ``None`` where it died before it was ready.
    """

    def __init__(self, message: str, failure: Failure | None = None) -> None:
        super().__init__(message)
        self.failure = failure


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
        cls,
        evaluate: Callable[..., Any],
        dumps: Callable[[Any], bytes] = pickle.dumps,
        *,
        what: str | None = None,
    ) -> Shared:
        """Pickle ``evaluate``.

        Args:
            evaluate: The evaluation, or what else is called in the worker.
            dumps: Does it.
            what: Its name in an error; default: its ``repr``.

        Raises:
            EvaluationError: It cannot be pickled.
        """
        try:
            data = dumps(evaluate)
        except Exception as error:
            raise EvaluationError(
                f"{what or repr(evaluate)} cannot be sent to worker processes ({error}). Use "
                f"functions and classes from the top level of a module, or this process alone "
                f"(executor=None without a time limit; workers=None)."
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
    give_back = keep_freed_memory()
    start = time.perf_counter()
    try:
        metrics = plain_metrics(evaluate(candidate.genome, **candidate.arguments))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - what a candidate raises is its own
        return Outcome(None, Failure.from_exception(error), time.perf_counter() - start)
    finally:
        give_back()
    return Outcome(metrics, None, time.perf_counter() - start)


def evaluate_shared(shared: Shared, candidate: Candidate) -> Outcome:
    """As :func:`evaluate_candidate`, with an evaluation that this process keeps."""
    try:
        evaluate = shared.load()
    except Exception as error:  # noqa: BLE001 - unpickling runs anyone's code
        return Outcome(None, Failure.from_exception(error), 0.0)
    return evaluate_candidate(evaluate, candidate)


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


@cache
def keep_freed_memory() -> Callable[[], object]:
    """Let this process keep the memory that tensors free, where Dask has told it not to.

    Dask starts workers with ``MALLOC_TRIM_THRESHOLD_=65536``, so that they give memory back early.
    With that variable glibc does not learn which blocks come again and again (``mallopt(3)``,
    ``M_MMAP_THRESHOLD``): each tensor above 128 KiB is then mapped, filled with zeros and unmapped
    anew, and on a CPU training took up to twice the time. So the thresholds are set to those that
    glibc reaches by itself. Any other value of the variable is somebody's wish and stays.

    Returns:
        A function that gives back what is free, to call after a candidate: Dask watches the memory
        of its workers.
    """
    if os.environ.get(_TRIM_VARIABLE) != _TRIM_OF_DASK:
        return _nothing
    try:
        libc = ctypes.CDLL(None)
        mallopt, give_back = libc.mallopt, libc.malloc_trim
    except (OSError, AttributeError, TypeError):  # no glibc
        return _nothing
    mallopt(_MMAP, _MMAP_MOST)
    mallopt(_TRIM, 2 * _MMAP_MOST)
    return partial(give_back, 0)


def _nothing() -> None:
    pass


def _limit_loaded_torch() -> None:
    """Set PyTorch's threads in a worker in which it was loaded before the worker was set up."""
    threads = os.environ.get(THREADS_VARIABLE)
    torch = sys.modules.get("torch")
    if threads and torch is not None and torch.get_num_threads() > int(threads):
        torch.set_num_threads(int(threads))


def _number(name: object, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise EvaluationError(f"The metric {name!r} is no number: {value!r}.") from None
