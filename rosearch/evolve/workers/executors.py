"""Where candidates are evaluated: in this process, in processes of its own, or elsewhere.

Everything that runs in parallel comes down to a :class:`concurrent.futures.Executor`.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from typing_extensions import Self

from rosearch.evolve.study.trials import Candidate
from rosearch.evolve.workers.child_processes import Children, evaluate_apart, start_worker
from rosearch.evolve.workers.evaluation import Outcome, Shared, evaluate_candidate, evaluate_shared
from rosearch.evolve.workers.ray import RayExecutor

P = ParamSpec("P")
R = TypeVar("R")


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
    """Fresh processes that share the cores evenly, as an executor for anything.

    ``executor=workers`` does better for a search: a process that dies is replaced there.

    Each process is spawned, not forked, because forked copies of PyTorch's thread pools hang.
    So a script that uses it needs ``if __name__ == "__main__":`` around its work. Each gets
    ``cores // workers`` threads, and ends by itself when this process is killed.

    Args:
        workers: Number of processes, at least 1.
    """
    return ProcessPoolExecutor(
        _positive(workers),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=start_worker,
        initargs=(_threads(workers),),
    )


@contextlib.contextmanager
def crew(
    function: Callable[[Any, Any], R], workers: int
) -> Iterator[Callable[[Shared, object], Future[R]]]:
    """Child processes that are ended at once when the block is left, whatever they are doing.

    Args:
        function: What they do; of the top level of a module, and it must not raise.
        workers: Number of processes, at least 1.

    Yields:
        A function that takes what is shared, which each process loads once, and another argument,
        and hands both to ``function`` in a process.
    """
    children = Children(_threads(_positive(workers)))
    threads = ThreadPoolExecutor(workers, "rosearch-worker")
    try:
        yield lambda shared, argument: threads.submit(children.call, function, shared, argument)
    finally:
        _end_at_once(threads, children)


class Workers:
    """One executor, how much work it takes at a time, and what it evaluates; a context manager.

    The evaluation is sent once to each process of the own pool and of a Dask or Ray cluster, which
    keep the last one. Other executors are sent it with every candidate.

    Args:
        evaluate: The evaluation.
        executor: ``None`` for this process, a number for so many processes that end with the run,
            or an executor that stays the caller's.
        workers: How many candidates an executor of the caller evaluates at a time. Needed
            where the executor does not tell.
        time_limit: Seconds for one candidate. Each worker then evaluates in a child process,
            which is ended when the time is over.

    Raises:
        TypeError: ``executor`` is none of these.
        ValueError: The number of workers is below 1 or unknown, or the time limit not positive.
        EvaluationError: ``evaluate`` cannot be sent to another process, where it has to be.
    """

    def __init__(
        self,
        evaluate: Callable[..., Mapping[str, float]],
        executor: Executor | int | None,
        *,
        workers: int | None = None,
        time_limit: float | None = None,
    ) -> None:
        limit: Any = time_limit
        if limit is not None and not (isinstance(limit, (int, float)) and 0 < limit < math.inf):
            raise ValueError(f"time_limit is a positive number of seconds, got {time_limit!r}.")
        self.executor: Executor
        self._children: Children | None = None
        self._own_pool: ThreadPoolExecutor | None = None
        self._fixed = workers
        if executor is None and workers not in (None, 1):
            raise ValueError(
                f"workers={workers!r} says how much an executor takes; without one evaluation is "
                f"serial. For so many processes pass executor={workers!r}."
            )
        if executor is None:
            self.executor, self._fixed = SerialExecutor(), 1
        elif isinstance(executor, int):
            self._fixed = _positive(executor)
            self.executor = self._own_pool = ThreadPoolExecutor(executor, "rosearch-worker")
            self._children = Children(_threads(executor))
        elif callable(getattr(executor, "submit", None)):
            self.executor = executor
        else:
            raise TypeError(
                f"executor is None, a number of processes, or a concurrent.futures.Executor; "
                f"got {executor!r}."
            )
        self._dask = _dask_client(self.executor)
        is_here = isinstance(self.executor, (SerialExecutor, ThreadPoolExecutor))
        if time_limit is not None and is_here and self._children is None:
            self._children = Children()
        if self.count < 1:
            raise ValueError(f"workers is a number of at least 1, got {self.count!r}.")
        self._function, self._arguments = self._work(evaluate, time_limit, is_here=is_here)
        self._options = {} if self._dask is None else {"pure": False}  # a second try is no repeat

    @property
    def count(self) -> int:
        """How many candidates to evaluate at a time; of a cluster, what it can do at the moment.

        A Dask cluster that adapts has as many as it may grow to, for it grows by what waits.
        """
        if self._fixed is not None:
            return self._fixed
        if self._dask is not None:
            return _dask_capacity(self._dask)
        if isinstance(self.executor, RayExecutor):
            return self.executor.capacity()
        # Not part of the Executor interface, but both of Python's own pools have it.
        known = getattr(self.executor, "_max_workers", None)
        if not isinstance(known, int):
            raise ValueError(
                f"How many candidates does {type(self.executor).__name__} evaluate at a time? It "
                f"does not tell; pass workers=, a number of at least 1."
            )
        return known

    def submit(self, candidate: Candidate) -> Future[Outcome]:
        """Hand one candidate to the executor.

        Raises:
            BrokenExecutor: The executor takes no more work.
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
            # A task, not scattered data: Dask computes it anew when the worker that has it dies.
            shared = self._dask.submit(_itself, shared, pure=False)
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
        _end_at_once(self._own_pool, self._children)


def _end_at_once(threads: ThreadPoolExecutor | None, children: Children | None) -> None:
    """End children and the threads that wait for them."""
    if threads is not None:
        threads.shutdown(wait=False, cancel_futures=True)
    if children is not None:
        children.end()
    if threads is not None:
        threads.shutdown(wait=True)


def _evaluate_on_dask(shared: Shared, candidate: Candidate, limit: float | None) -> Outcome:
    """Evaluate in the worker itself, or in a child of a worker that has several threads.

    Threads of one process would disturb each other's random numbers. Only a worker knows how many
    it has: those of a cluster come and go.
    """
    from distributed import get_worker

    if limit is None and get_worker().state.nthreads == 1:
        return evaluate_shared(shared, candidate)
    return evaluate_apart(shared, candidate, limit)


def _itself(shared: Shared) -> Shared:
    return shared


def _cloudpickle(value: Any) -> bytes:
    # Dask and Ray bring it; it takes functions of scripts and notebooks along.
    import cloudpickle

    return bytes(cloudpickle.dumps(value))


def _dask_client(executor: Executor) -> Any:
    """The client behind ``Client.get_executor()``; ``None`` for another executor."""
    is_dask = type(executor).__module__.partition(".")[0] == "distributed"
    return getattr(executor, "_client", None) if is_dask else None


def _dask_capacity(client: Any) -> int:
    """Threads of a client's workers, or what an adaptive cluster may come to have of them."""
    threads: list[int] = list(client.nthreads().values())
    now = max(1, sum(threads))
    adaptive = getattr(client.cluster, "_adaptive", None)
    if adaptive is None or adaptive.periodic_callback is None:  # never begun, or stopped
        return now
    if not math.isfinite(adaptive.maximum):
        return now + 1
    return max(now, int(adaptive.maximum) * max(threads, default=1))


def _positive(workers: int) -> int:
    if workers < 1:
        raise ValueError(f"Expected a number of worker processes of at least 1, got {workers!r}.")
    return workers


def _threads(workers: int) -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, cores // workers)
