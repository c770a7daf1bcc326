"""Evaluate candidates on the workers of an executor."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass

from rosearch.errors import EvaluationError
from rosearch.evolve.study.trials import Candidate
from rosearch.evolve.workers.evaluation import Outcome, WorkerStartError, lost
from rosearch.evolve.workers.executors import Workers
from rosearch.evolve.workers.interrupts import Interrupts

_POLL_SECONDS = 1.0
"""How long to wait at a time; on Windows, Ctrl-C is only noticed in between."""


@dataclass
class Runner:
    """Keeps the workers busy and records what they return; used by ``Evolver.run`` and ``confirm``.

    A candidate whose worker dies is evaluated once more, with nothing else running, and then
    recorded as failed with the kind ``"WorkerLost"``. When the run ends with an error or Ctrl-C,
    evaluations that have finished are recorded and the others are cancelled.

    Args:
        evaluate: The evaluation.
        next_candidate: Returns the candidate to evaluate next, or ``None`` if there is none until
            a running one is recorded. The run ends when it returns ``None`` and nothing is running.
        record: Stores the outcome of a candidate. Of several that finish together, the one with
            the smallest number comes first.
        interrupts: The entered context that holds Ctrl-C back. The runner lets it through while it
            waits, so ``next_candidate`` and ``record`` are never interrupted half-way.
    """

    evaluate: Callable[..., Mapping[str, float]]
    next_candidate: Callable[[], Candidate | None]
    record: Callable[[Candidate, Outcome], None]
    interrupts: Interrupts

    def __post_init__(self) -> None:
        self._running: dict[Future[Outcome], Candidate] = {}
        self._retries: deque[Candidate] = deque()
        self._retried: Future[Outcome] | None = None
        self._lost: set[int] = set()

    def run(
        self,
        executor: Executor | int | None = None,
        *,
        workers: int | None = None,
        time_limit: float | None = None,
    ) -> None:
        """Evaluate until there are no more candidates; the arguments are those of ``Evolver.run``.

        Raises:
            EvaluationError: The evaluation cannot be sent to the workers, their processes die at
                their start, or the executor is broken.
        """
        with Workers(self.evaluate, executor, workers=workers, time_limit=time_limit) as pool:
            try:
                self._fill(pool)
                while self._running:
                    self._collect()
                    self._fill(pool)
            except BaseException:
                self._stop()
                raise

    def _fill(self, pool: Workers) -> None:
        """Submit candidates until every worker is busy."""
        if self._retried in self._running:
            return
        if self._retries:
            # One of these has killed a worker, and running alone shows which one.
            if not self._running:
                self._retried = self._submit(self._retries.popleft(), pool)
            return
        while len(self._running) < pool.count:
            candidate = self.next_candidate()
            if candidate is None or self._submit(candidate, pool).done():
                return  # some executors evaluate at once: record it before the next

    def _submit(self, candidate: Candidate, pool: Workers) -> Future[Outcome]:
        try:
            with self.interrupts.let_through():  # some executors evaluate at once
                future = pool.submit(candidate)
        except BrokenExecutor as error:
            raise EvaluationError(
                f"The executor accepts no more work ({error}). Finished evaluations are recorded: "
                f"make a new executor and call again, or use executor=1, which replaces a process "
                f"that dies."
            ) from error
        self._running[future] = candidate
        return future

    def _collect(self) -> None:
        """Wait for running evaluations and record those that have finished."""
        with self.interrupts.let_through():
            done, _ = wait_for(self._running, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in sorted(done, key=lambda f: self._running[f].number):
            candidate = self._running.pop(future)
            try:
                outcome = future.result()
            except WorkerStartError:
                raise
            except Exception as error:  # noqa: BLE001 - the worker's error, not the candidate's
                # KilledWorker: Dask has already tried several times.
                if candidate.number not in self._lost and type(error).__name__ != "KilledWorker":
                    self._lost.add(candidate.number)
                    self._retries.append(candidate)
                    continue
                outcome = lost(error)
            self._lost.discard(candidate.number)  # its next rung may be tried twice again
            self.record(candidate, outcome)

    def _stop(self) -> None:
        """Cancel what is running, and record what has finished meanwhile."""
        for future in self._running:
            future.cancel()
        if self.interrupts.is_forced:
            return  # possibly in the middle of a transaction, whose lock recording would wait for
        with contextlib.suppress(Exception):  # the error that ended the run is the one to show
            for future, candidate in self._running.items():
                if future.done() and not future.cancelled() and future.exception() is None:
                    self.record(candidate, future.result())
