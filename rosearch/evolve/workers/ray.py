"""Candidates on a Ray cluster, several to a GPU if they are small."""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

from rosearch.checks import number, positive, refused, whole_number
from rosearch.errors import ArgumentError
from rosearch.optional import try_import

P = ParamSpec("P")
R = TypeVar("R")


class RayExecutor(Executor):
    """Runs each call as a Ray task, with the cores and the share of a GPU that it asks for.

    Uses the Ray that this process is connected to (``ray.init()``), or starts or joins one as
    ``ray.init()`` does.

    A task with a GPU, or a share of one, gets a new process, because a process cannot release a
    GPU that it has used. Ray does not repeat a task whose process dies; a search does that itself,
    once.

    Args:
        num_cpus: Cores for one candidate. Its PyTorch uses as many threads.
        num_gpus: GPUs for one candidate; 0.25 puts four on each.
        workers: Candidates at a time. ``None``: as many as the cluster has resources for, checked
            again while a search runs. Give a number for a cluster that grows on demand.

    Raises:
        MissingResourceError: Ray is not installed.
        ArgumentError: A number is out of range, or no machine of the cluster has room for a
            candidate and ``workers`` is not given.
    """

    def __init__(
        self, *, num_cpus: float = 1, num_gpus: float = 0, workers: int | None = None
    ) -> None:
        positive("num_cpus", num_cpus)
        if number("num_gpus", num_gpus, 0.0) > 1 and num_gpus != int(num_gpus):
            raise refused("num_gpus", "a whole number, or below 1 for a share of a GPU", num_gpus)
        self._workers = None if workers is None else whole_number("workers", workers)
        self._ray = try_import("ray", "RayExecutor", "ray")
        if not self._ray.is_initialized():
            self._ray.init()
        self._cpus, self._gpus = num_cpus, num_gpus
        if workers is None and not self._room():
            raise ArgumentError(
                f"No machine of the Ray cluster has room for one candidate, which needs {num_cpus} "
                f"CPUs and {num_gpus} GPUs. Ask for less, or pass workers= if the cluster grows."
            )
        self._call = self._ray.remote(_call).options(
            num_cpus=num_cpus, num_gpus=num_gpus, max_retries=0
        )
        self._futures: set[Future[Any]] = set()
        self._is_shut_down = False

    def capacity(self) -> int:
        """How many candidates run at a time, at least 1."""
        return max(1, self._room()) if self._workers is None else self._workers

    def share(self, value: Any) -> Any:
        """Put ``value`` into Ray's object store; the result replaces it in :meth:`submit`."""
        return self._ray.put(value)

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Start ``fn`` as a task. Cancelling the future kills the process that runs it.

        Raises:
            RuntimeError: The executor is shut down.
        """
        if self._is_shut_down:
            raise RuntimeError("cannot schedule new futures after shutdown")
        task = self._call.remote(fn, *args, **kwargs)
        future: _TaskFuture[R] = _TaskFuture(self._ray, task)
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        task.future().add_done_callback(future.copy_from)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls; wait for those that run, or kill them."""
        self._is_shut_down = True
        futures = list(self._futures)
        if cancel_futures:
            for future in futures:
                future.cancel()
        elif wait:
            concurrent.futures.wait(futures)

    def _room(self) -> int:
        return sum(self._fit(n["Resources"]) for n in self._ray.nodes() if n["Alive"])

    def _fit(self, resources: Mapping[str, float]) -> int:
        """How many candidates fit on one machine."""
        # Ray counts in ten-thousandths.
        count = int(resources.get("CPU", 0.0) / self._cpus + 1e-9)
        gpus = resources.get("GPU", 0.0)
        if 0 < self._gpus < 1:  # a share of a GPU cannot span two
            count = min(count, int(gpus) * int(1 / self._gpus + 1e-9))
        elif self._gpus:
            count = min(count, int(gpus / self._gpus + 1e-9))
        return count


def _call(function: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    return function(*args, **kwargs)


class _TaskFuture(Future[R]):
    """The future of a Ray task."""

    def __init__(self, ray: Any, task: Any) -> None:
        super().__init__()
        self._ray = ray
        self._task = task

    def cancel(self) -> bool:
        """Kill the task, even if it is running."""
        if not super().cancel():
            return False
        with contextlib.suppress(Exception):  # it may have just ended
            self._ray.cancel(self._task, force=True)
        return True

    def copy_from(self, done: Future[R]) -> None:
        """Take the result or the exception of ``done``."""
        if not self.set_running_or_notify_cancel():
            return
        error = done.exception()
        if error is None:
            self.set_result(done.result())
        else:
            self.set_exception(error)
