"""Candidates on a Ray cluster, several to a GPU where they are small."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

from rosearch.errors import MissingResourceError

P = ParamSpec("P")
R = TypeVar("R")


class RayExecutor(Executor):
    """Runs each call as a task of Ray, with the cores and the share of a GPU that it asks for.

    Uses the Ray that this process is connected to (``ray.init()``), or starts or joins one as
    ``ray.init()`` does. That Ray stays when the executor is shut down.

    A task that asks for a GPU, or a part of one, gets a fresh process, because a process cannot
    leave a GPU that it has used. A task whose process dies is not repeated by Ray: a search does
    that itself, once.

    Args:
        num_cpus: Cores for one candidate. Its PyTorch uses as many threads.
        num_gpus: GPUs for one candidate; 0.25 puts four on each.
        resources: Custom resources of Ray for one candidate, by name.
        workers: Candidates at a time; ``None``: as many as the cluster has resources for, looked
            up anew while a search runs. Give a number where the cluster grows on demand.

    Raises:
        MissingResourceError: Ray is not installed.
        ValueError: A number is out of range, or no machine of the cluster has room for a candidate
            and ``workers`` is not given.
    """

    def __init__(
        self,
        *,
        num_cpus: float = 1,
        num_gpus: float = 0,
        resources: Mapping[str, float] | None = None,
        workers: int | None = None,
    ) -> None:
        if num_cpus <= 0 or num_gpus < 0:
            raise ValueError(
                f"Expected num_cpus above 0 and num_gpus of at least 0; got num_cpus={num_cpus!r} "
                f"and num_gpus={num_gpus!r}."
            )
        if num_gpus > 1 and num_gpus != int(num_gpus):
            raise ValueError(f"Ray divides one GPU, not several; got num_gpus={num_gpus!r}.")
        if workers is not None and workers < 1:
            raise ValueError(f"workers is a number of at least 1, got {workers!r}.")
        try:
            import ray
        except ImportError as error:
            raise MissingResourceError(
                "RayExecutor needs Ray, which is not installed: pip install 'rosearch[ray]'"
            ) from error
        if not ray.is_initialized():
            ray.init()
        self._ray: Any = ray
        self._needs = {"CPU": num_cpus, "GPU": num_gpus, **(resources or {})}
        self._workers = workers
        if workers is None and not self._room():
            raise ValueError(
                f"No machine of the Ray cluster has room for one candidate, which needs "
                f"{self._needs}. Ask for less, or pass workers= where the cluster grows on demand."
            )
        self._call = self._ray.remote(_call).options(
            num_cpus=num_cpus, num_gpus=num_gpus, resources=dict(resources or {}), max_retries=0
        )
        self._futures: set[_TaskFuture[Any]] = set()
        self._is_shut_down = False

    def capacity(self) -> int:
        """How many candidates run at a time, at least 1."""
        if self._workers is not None:
            return self._workers
        return max(1, self._room())

    def share(self, value: Any) -> Any:
        """Put ``value`` into Ray's store; what comes back stands for it in :meth:`submit`."""
        return self._ray.put(value)

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Start ``fn`` as a task. Cancelling the future ends the process that runs it.

        Raises:
            RuntimeError: The executor is shut down.
        """
        if self._is_shut_down:
            raise RuntimeError("cannot schedule new futures after shutdown")
        task = self._call.remote(fn, *args, **kwargs)
        future: _TaskFuture[R] = _TaskFuture(self._ray, task)
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        task.future().add_done_callback(future.take)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work; wait for what is under way, or end it."""
        self._is_shut_down = True
        for future in list(self._futures):
            if cancel_futures:
                future.cancel()
            elif wait:
                with contextlib.suppress(Exception):
                    future.exception()

    def _room(self) -> int:
        nodes = [n["Resources"] for n in self._ray.nodes() if n["Alive"]]
        return sum(self._fit(resources) for resources in nodes)

    def _fit(self, resources: Mapping[str, float]) -> int:
        # Ray counts in ten-thousandths; a share of a GPU cannot span two.
        fits = []
        for name, need in self._needs.items():
            have = resources.get(name, 0.0)
            if name == "GPU" and 0 < need < 1:
                fits.append(int(have) * int(1 / need + 1e-9))
            elif need:
                fits.append(int(have / need + 1e-9))
        return min(fits)


def _call(function: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    return function(*args, **kwargs)


class _TaskFuture(Future[R]):
    """The future of a task of Ray."""

    def __init__(self, ray: Any, task: Any) -> None:
        super().__init__()
        self._ray = ray
        self._task = task

    def cancel(self) -> bool:
        """End the task, also one that runs."""
        if not super().cancel():
            return False
        with contextlib.suppress(Exception):  # it may have ended in this instant
            self._ray.cancel(self._task, force=True)
        return True

    def take(self, done: Future[R]) -> None:
        """Become what ``done`` is."""
        if not self.set_running_or_notify_cancel():
            return
        error = done.exception()
        if error is None:
            self.set_result(done.result())
        else:
            self.set_exception(error)
