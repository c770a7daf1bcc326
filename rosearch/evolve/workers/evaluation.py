"""One evaluation: how it is sent to a process, and its outcome."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib
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
from rosearch.progress import no_bars
from rosearch.registry import plug_in_modules
from rosearch.space import Genome

THREADS_VARIABLE = "ROSEARCH_WORKER_THREADS"
"""Environment variable with the number of threads that a worker uses for its computation."""

_TRIM_VARIABLE, _TRIM_OF_DASK = "MALLOC_TRIM_THRESHOLD_", "65536"
_TRIM, _MMAP = -1, -3
"""``M_TRIM_THRESHOLD`` and ``M_MMAP_THRESHOLD`` of glibc's ``malloc.h``."""
_MAX_MMAP = 32 * 2**20
"""The maximum to which glibc raises the latter by itself; it keeps the former at twice that."""


class WorkerLostError(RuntimeError):
    """The process that evaluated a candidate has died; the text says how."""


class WorkerStartError(EvaluationError):
    """A worker process cannot start to evaluate, and the next one could not either.

    Attributes:
        failure: Why it cannot load the evaluation; ``None`` if it died before it was ready.
    """

    def __init__(self, message: str, failure: Failure | None = None) -> None:
        super().__init__(message)
        self.failure = failure


@dataclass(frozen=True)
class Outcome:
    """The result of one evaluation.

    Attributes:
        metrics: Metrics by name; ``None`` if it failed.
        failure: Why it failed; ``None`` if it did not.
        seconds: Its duration.
    """

    metrics: Mapping[str, float] | None
    failure: Failure | None
    seconds: float


@dataclass(frozen=True, repr=False)
class Shared:
    """A pickled evaluation, which a worker unpickles once and keeps.

    Attributes:
        data: The pickle.
        digest: Digest of the data, equal for equal evaluations.
        plug_ins: Modules that have registered something, imported before unpickling.
    """

    data: bytes
    digest: str
    plug_ins: tuple[str, ...] = ()

    @classmethod
    def of(cls, evaluate: object, dumps: Callable[[Any], bytes] = pickle.dumps) -> Shared:
        """Pickle ``evaluate``.

        Args:
            evaluate: The evaluation, or another object that workers need.
            dumps: The pickling function.

        Raises:
            EvaluationError: It cannot be pickled.
        """
        try:
            data = dumps(evaluate)
        except Exception as error:
            raise EvaluationError(
                f"{evaluate!r:.200} cannot be sent to worker processes ({error}). Use "
                f"functions and classes from the top level of a module, or evaluate in this "
                f"process (executor=None without a time limit; workers=None)."
            ) from error
        return cls(data, hashlib.blake2b(data, digest_size=16).hexdigest(), plug_in_modules())

    def load(self) -> Any:
        """The object; the one loaded last is kept in the process."""
        with _loading:
            if _loaded.get("digest") != self.digest:
                for module in self.plug_ins:
                    with contextlib.suppress(ImportError):  # if it is needed, its name is missed
                        importlib.import_module(module)
                _loaded.clear()  # two teachers at a time may not fit into memory
                evaluate = pickle.loads(self.data)  # noqa: S301 - pickled by the search itself
                _loaded.update(evaluate=evaluate, digest=self.digest)
            return _loaded["evaluate"]


_loaded: dict[str, Any] = {}
_loading = threading.Lock()


@dataclass(frozen=True)
class Silent:
    """An evaluation without progress bars, in whichever process it runs."""

    evaluate: Callable[..., Mapping[str, float]]

    def __call__(self, genome: Genome, **arguments: Any) -> Mapping[str, float]:
        with no_bars():
            return self.evaluate(genome, **arguments)

    def __repr__(self) -> str:
        return repr(self.evaluate)


def evaluate_candidate(
    evaluate: Callable[..., Mapping[str, float]], candidate: Candidate
) -> Outcome:
    """Evaluate one candidate in this process; an exception becomes part of the outcome.

    The failure is stored as text, because an exception may hold objects that cannot be pickled.
    """
    _limit_loaded_torch()
    release_memory = keep_freed_memory()
    start = time.perf_counter()
    try:
        metrics = plain_metrics(evaluate(candidate.genome, **candidate.arguments))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - any error is the candidate's
        return Outcome(None, Failure.from_exception(error), time.perf_counter() - start)
    finally:
        if release_memory is not None:
            release_memory()
    return Outcome(metrics, None, time.perf_counter() - start)


def evaluate_shared(shared: Shared, candidate: Candidate) -> Outcome:
    """Like :func:`evaluate_candidate`, with an evaluation that this process keeps."""
    try:
        evaluate = shared.load()
    except Exception as error:  # noqa: BLE001 - unpickling runs the user's code
        return Outcome(None, Failure.from_exception(error), 0.0)
    return evaluate_candidate(evaluate, candidate)


def lost(error: BaseException) -> Outcome:
    """The outcome of a candidate whose worker died for the second time, with ``error``."""
    message = (
        f"Its worker died again ({type(error).__name__}: {error}). The usual cause is that memory "
        f"ran out."
    )
    traceback = Failure.from_exception(error).traceback
    return Outcome(None, Failure("WorkerLost", message, traceback), 0.0)


def plain_metrics(metrics: Any) -> dict[str, float]:
    """``metrics`` as plain floats by name.

    Raises:
        EvaluationError: It is not a mapping, or a value is not a number.
    """
    if not isinstance(metrics, Mapping):
        raise EvaluationError(
            f"evaluate must return a mapping from metric names to numbers, got "
            f"{type(metrics).__name__}."
        )
    return {str(name): _float(name, value) for name, value in metrics.items()}


@cache
def keep_freed_memory() -> Callable[[], object] | None:
    """Undo Dask's setting of malloc, with which every larger tensor is new memory.

    Dask starts workers with ``MALLOC_TRIM_THRESHOLD_=65536``, so that they return memory early.
    With that variable glibc does not learn which blocks are allocated again and again
    (``mallopt(3)``, ``M_MMAP_THRESHOLD``): each tensor above 128 KiB is mapped, filled with zeros
    and unmapped, and training on a CPU took up to twice the time. So this sets the thresholds that
    glibc reaches by itself. Any other value of the variable is left alone.

    Returns:
        A function that returns free memory to the system, to be called after a candidate, because
        Dask watches the memory of its workers; ``None`` if nothing was set.
    """
    if os.environ.get(_TRIM_VARIABLE) == _TRIM_OF_DASK:
        with contextlib.suppress(OSError, AttributeError, TypeError):  # no glibc
            libc = ctypes.CDLL(None)
            libc.mallopt(_MMAP, _MAX_MMAP)
            libc.mallopt(_TRIM, 2 * _MAX_MMAP)
            return partial(libc.malloc_trim, 0)
    return None


def _limit_loaded_torch() -> None:
    """Set PyTorch's threads if it was loaded before the worker was set up."""
    threads = os.environ.get(THREADS_VARIABLE)
    torch = sys.modules.get("torch")
    if threads and torch is not None and torch.get_num_threads() > int(threads):
        torch.set_num_threads(int(threads))


def _float(name: object, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise EvaluationError(f"The metric {name!r} is not a number: {value!r}.") from None
