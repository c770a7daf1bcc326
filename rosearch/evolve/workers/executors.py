"""Where candidates are evaluated: in this process, in child processes, or by an executor."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from typing_extensions import Self

from rosearch.checks import positive, refused, whole_number
from rosearch.evolve.study.trials import Candidate
from rosearch.evolve.workers.child_processes import ChildProcesses, evaluate_apart
from rosearch.evolve.workers.evaluation import Outcome, Shared, evaluate_candidate, evaluate_shared
from rosearch.evolve.workers.ray import RayExecutor

P = ParamSpec("P")
R = TypeVar("R")


class SerialExecutor(Executor):
    """Runs each call at once, in this process."""

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Call ``fn`` now and return a future that is done. Ctrl-C is not caught."""
        future: Future[R] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - an executor passes every exception on
            future.set_exception(error)
        return future


class Workers:
    """An executor, how many candidates it evaluates at a time, and the evaluation.

    The evaluation is sent once to each child process and to each process of a Dask or Ray cluster,
    which keep the last one. Other executors receive it with every candidate.

    Args:
        evaluate: The evaluation.
        executor: ``None`` for this process, a number of child processes that end with the context,
            or an executor, which is not shut down.
        workers: How many candidates an executor evaluates at a time, if it does not tell.
        time_limit: Seconds for one candidate. Each is then evaluated in a child process, which is
            killed when the time is over.

    Raises:
        ArgumentError: ``executor`` is none of these, the number of workers is below 1 or unknown,
            or the time limit is not positive.
        EvaluationError: ``evaluate`` must be sent to other processes and cannot be.
    """

    def __init__(
        self,
        evaluate: Callable[..., Mapping[str, float]],
        executor: Executor | int | None,
        *,
        workers: int | None = None,
        time_limit: float | None = None,
    ) -> None:
        limit = None if time_limit is None else positive("time_limit", time_limit)
        self._count = None if workers is None else whole_number("workers", workers)
        self._children: ChildProcesses | None = None
        self.executor: Executor
        if executor is None:
            if self._count not in (None, 1):
                raise refused("workers", f"omitted; pass executor={workers} for processes", workers)
            self.executor, self._count = SerialExecutor(), 1
        elif isinstance(executor, int):
            self._count = whole_number("executor", executor)
            self._children = ChildProcesses(executor)
            self.executor = self._children.pool
        else:
            if not callable(getattr(executor, "submit", None)):
                expected = "None, a number of processes, or a concurrent.futures.Executor"
                raise refused("executor", expected, executor)
            self.executor = executor
        self._dask = _dask_client(self.executor)
        is_here = isinstance(self.executor, (SerialExecutor, ThreadPoolExecutor))
        if limit is not None and is_here and self._children is None:
            self._children = ChildProcesses()
        whole_number("workers", self.count)
        self._function, self._arguments = self._work(evaluate, limit, is_here=is_here)
        self._options = {} if self._dask is None else {"pure": False}  # a retry is a new task

    @property
    def count(self) -> int:
        """How many candidates to evaluate at a time; of a cluster, its current size.

        For a Dask cluster that adapts it is the size to which it may grow, as it grows with the
        number of waiting tasks.
        """
        if self._count is not None:
            return self._count
        if self._dask is not None:
            return _dask_capacity(self._dask)
        if isinstance(self.executor, RayExecutor):
            return self.executor.capacity()
        # Not part of the Executor interface, but both pools of Python have it.
        known = getattr(self.executor, "_max_workers", None)
        if not isinstance(known, int):
            expected = f"given for a {type(self.executor).__name__}: pass workers=, a whole number"
            raise refused("workers", expected, None)
        return known

    def submit(self, candidate: Candidate) -> Future[Outcome]:
        """Submit one candidate to the executor.

        Raises:
            BrokenExecutor: The executor accepts no more work.
        """
        first, *rest = self._arguments
        submit: Any = self.executor.submit
        future: Future[Outcome] = submit(self._function, first, candidate, *rest, **self._options)
        return future

    def _work(
        self, evaluate: Callable[..., Any], limit: float | None, *, is_here: bool
    ) -> tuple[Callable[..., Outcome], tuple[Any, ...]]:
        """The function to submit, and its arguments except the candidate, which is the second."""
        if self._children is not None:
            return self._children.evaluate, (Shared.of(evaluate), limit)
        if is_here:
            return evaluate_candidate, (evaluate,)
        shared: Any
        if self._dask is not None:
            shared = Shared.of(evaluate, _cloudpickle)
            # A task, not scattered data: Dask runs it again if the worker that has it dies.
            shared = self._dask.submit(_identity, shared, pure=False)
            return _evaluate_on_dask, (shared, limit)
        if isinstance(self.executor, RayExecutor):
            shared = self.executor.share(Shared.of(evaluate, _cloudpickle))
        else:
            shared = Shared.of(evaluate)
        return (evaluate_shared, (shared,)) if limit is None else (evaluate_apart, (shared, limit))

    def __enter__(self) -> Self:
        # In a script without a main guard this raises in the child, before it touches the study.
        if self._children is not None:
            self._children.start()
        return self

    def __exit__(self, *_: object) -> None:
        # An interrupted or failed run does not wait for candidates that take minutes.
        if self._children is not None:
            self._children.close()


def _evaluate_on_dask(shared: Shared, candidate: Candidate, limit: float | None) -> Outcome:
    """Evaluate in the worker itself, or in a child if the worker has several threads.

    Threads of one process would share random numbers. The number of threads is read in the worker,
    because the workers of a cluster come and go.
    """
    from distributed import get_worker

    if limit is None and get_worker().state.nthreads == 1:
        return evaluate_shared(shared, candidate)
    return evaluate_apart(shared, candidate, limit)


def _identity(shared: Shared) -> Shared:
    return shared


def _cloudpickle(value: Any) -> bytes:
    # A dependency of Dask and Ray; it pickles functions of scripts and notebooks by value.
    import cloudpickle

    return bytes(cloudpickle.dumps(value))


def _dask_client(executor: Executor) -> Any:
    """The client of an executor from ``Client.get_executor()``; ``None`` for other executors."""
    is_dask = type(executor).__module__.partition(".")[0] == "distributed"
    return getattr(executor, "_client", None) if is_dask else None


def _dask_capacity(client: Any) -> int:
    """Threads of a client's workers, or the most that an adaptive cluster may grow to."""
    threads: list[int] = list(client.nthreads().values())
    now = max(1, sum(threads))
    adaptive = getattr(client.cluster, "_adaptive", None)
    if adaptive is None or adaptive.periodic_callback is None:  # never started, or stopped
        return now
    if not math.isfinite(adaptive.maximum):
        return now + 1
    return max(now, int(adaptive.maximum) * max(threads, default=1))
