"""One run of a search: keeps the workers busy and the ledger in step."""

from __future__ import annotations

import contextlib
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future
from concurrent.futures import wait as wait_for

from tqdm.auto import tqdm

from rosearch.errors import EvaluationError, SpaceError
from rosearch.evolve.proposals import Proposals
from rosearch.evolve.study.ledger import Ledger
from rosearch.evolve.study.trials import Candidate, TrialRecord
from rosearch.evolve.workers.evaluation import Outcome, WorkerStartError, lost
from rosearch.evolve.workers.executors import Workers
from rosearch.evolve.workers.failure_streaks import Streaks
from rosearch.evolve.workers.interrupts import Interrupts
from rosearch.owners import LEASE_SECONDS, RENEW_SECONDS

_POLL_SECONDS = 1.0
"""How often to look for news of other processes while there is nothing to do here."""
_SILENT_POLLS = 5
"""After so many of these in a row a warning says what is waited for."""


class Runner:
    """Evaluates the candidates of one call of ``Evolver.run``.

    Args:
        evaluate: The evaluation.
        proposals: Says what comes next.
        ledger: The study's trials.
        record: Records what came of a candidate, as ``Evolver.tell`` does; ``None`` if it is known
            already.
    """

    def __init__(
        self,
        evaluate: Callable[..., Mapping[str, float]],
        proposals: Proposals,
        ledger: Ledger,
        record: Callable[..., TrialRecord | None],
    ) -> None:
        self._evaluate = evaluate
        self._proposals = proposals
        self._ledger = ledger
        self._tell = record
        self._held: dict[int, Candidate] = {}
        self._claimed: set[int] = set()  # those held, and those between two rungs
        self._idle = 0
        self._open: dict[Future[Outcome], Candidate] = {}
        self._alone: deque[Candidate] = deque()
        self._single: Future[Outcome] | None = None  # of one that runs alone
        self._losses: Counter[int] = Counter()
        self._exhausted: SpaceError | None = None
        self._interrupts = Interrupts()
        self._streaks = Streaks(
            rung
            for trial in ledger.trials()
            for rung in (range(len(trial.rungs)) if trial.rungs else [None])
            if trial.rungs or trial.state == "complete"
        )

    def run(
        self,
        candidates: int,
        *,
        executor: Executor | int | None,
        workers: int | None,
        time_limit: float | None,
        progress: bool,
    ) -> None:
        """Go on until the study has ``candidates`` finished trials; see ``Evolver.run``."""
        with (
            self._interrupts,
            Workers(self._evaluate, executor, workers=workers, time_limit=time_limit) as pool,
        ):
            self._check_early()
            bar = tqdm(
                total=candidates,
                initial=self._finished(candidates),
                desc="candidates",
                unit="candidate",
                delay=2,
                disable=not progress,
            )
            with bar:
                try:
                    with self._signs_of_life():
                        self._loop(candidates, pool, bar)
                finally:
                    self._give_back()

    def _loop(self, candidates: int, pool: Workers, bar: tqdm[None]) -> None:
        while True:
            self._fill(candidates, pool)
            if self._open:
                self._collect()
            elif self._exhausted is not None and not self._alone:
                raise self._exhausted
            elif not self._alone and self._finished(candidates) < candidates:
                self._wait(candidates)
            finished = self._finished(candidates)
            bar.update(finished - bar.n)
            if finished == candidates and not self._held:
                self._fill(candidates, pool)  # what is reserved here, above the others' last
                if not self._open:
                    return

    def _wait(self, candidates: int) -> None:
        """Wait for other processes, which have the rest under way."""
        with self._interrupts.let_through():
            time.sleep(_POLL_SECONDS)
        self._idle += 1
        if self._idle != _SILENT_POLLS:
            return
        for trial in self._ledger.trials()[:candidates]:
            if trial.state == "running":
                warnings.warn(
                    f"Waiting for candidate {trial.number}, which belongs to "
                    f"{self._ledger.owner_of(trial.number)}. If it came from an ask() whose "
                    f"outcome is never told, restart that process (of a notebook: its kernel).",
                    RuntimeWarning,
                    stacklevel=2,
                )
                return

    def _fill(self, candidates: int, pool: Workers) -> None:
        """Hand out work until every worker has some."""
        if self._single in self._open:
            return
        if self._alone:
            # One of these has killed a worker. Run by itself, the guilty one shows.
            if not self._open:
                self._single = self._submit(self._alone.popleft(), pool)
            return
        while len(self._open) < pool.count:
            candidate = self._next(candidates)
            if candidate is None:
                return
            self._idle = 0
            self._held[candidate.number] = candidate
            self._claimed.add(candidate.number)
            self._submit(candidate, pool)

    def _next(self, candidates: int) -> Candidate | None:
        try:
            candidate = self._proposals.take_up(
                LEASE_SECONDS, own=True, busy=self._held, below=candidates
            )
            if candidate is not None or self._exhausted is not None:
                return candidate
            if len(self._ledger.trials()) >= candidates:
                return None
            return self._proposals.propose(LEASE_SECONDS)
        except SpaceError as error:
            self._exhausted = error  # raised once what is under way is recorded
            return None

    def _submit(self, candidate: Candidate, pool: Workers) -> Future[Outcome]:
        try:
            with self._interrupts.let_through():  # some executors evaluate at once
                future = pool.submit(candidate)
        except BrokenExecutor as error:
            raise EvaluationError(
                f"The executor takes no more work ({error}). Nothing is lost: make a new "
                f"executor and call run again."
            ) from error
        self._open[future] = candidate
        return future

    def _collect(self) -> None:
        """Record what has finished, in order of the trials' numbers."""
        with self._interrupts.let_through():
            done, _ = wait_for(self._open, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in sorted(done, key=lambda f: self._open[f].number):
            candidate = self._open.pop(future)
            try:
                outcome = future.result()
            except WorkerStartError:
                raise
            except Exception as error:  # noqa: BLE001 - of the worker, not of the candidate
                self._lost(candidate, error)
            else:
                self._losses.pop(candidate.number, None)
                self._record(candidate, outcome)

    def _lost(self, candidate: Candidate, error: BaseException) -> None:
        """Run a candidate once more whose worker has died, then give it up."""
        self._losses[candidate.number] += 1
        # Dask has itself tried several times before it gives up.
        if self._losses[candidate.number] < 2 and type(error).__name__ != "KilledWorker":
            self._alone.append(candidate)
            return
        self._record(candidate, lost(error))

    def _record(self, candidate: Candidate, outcome: Outcome) -> None:
        told = outcome.failure if outcome.metrics is None else outcome.metrics
        if told is None:
            raise EvaluationError(f"Candidate {candidate.number} came back without an outcome.")
        trial = self._tell(candidate, told, outcome.seconds)
        del self._held[candidate.number]
        if trial is None or trial.state != "running":
            self._claimed.discard(candidate.number)
        if trial is None:
            return  # another process took it for abandoned and was faster
        if trial.failure is None:
            self._streaks.success(candidate.rung)
            return
        count = self._streaks.failure(trial.failure, candidate.rung)
        if count:
            raise EvaluationError(
                f"{count} candidates in a row failed with the same error, so the rest would too: "
                f"{trial.failure}\nThey are recorded as failed. Repair the cause and call run "
                f"again, which goes on with others; another study= begins with these. The last "
                f"one's traceback:\n{trial.failure.traceback}"
            )

    def _check_early(self) -> None:
        """Let the evaluation object before anything is trained."""
        check = getattr(self._evaluate, "check", None)
        if check is not None:
            for genome in self._proposals.upcoming():
                with self._interrupts.let_through():
                    check(genome)

    def _finished(self, candidates: int) -> int:
        return sum(t.state != "running" for t in self._ledger.trials()[:candidates])

    def _give_back(self) -> None:
        for future in self._open:
            future.cancel()
        if self._interrupts.is_forced:
            return  # out of the middle of a transaction, whose lock the next would wait for
        with contextlib.suppress(Exception):  # the error that ended the run is the one to show
            for number in self._claimed | self._proposals.reserved:
                self._ledger.release(number)

    @contextlib.contextmanager
    def _signs_of_life(self) -> Iterator[None]:
        """Renew the claim on the trials under way, for processes on other machines."""
        if not self._ledger.is_shared:
            yield
            return
        over = threading.Event()

        def renew() -> None:
            while not over.wait(RENEW_SECONDS):
                for number in list(self._claimed | self._proposals.reserved):
                    with contextlib.suppress(Exception):  # the next sign comes in a minute
                        self._ledger.claim(number, lease=LEASE_SECONDS)

        thread = threading.Thread(target=renew, name="rosearch-signs-of-life", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
