"""One call of ``Evolver.run``: which candidates it evaluates, and which trials it holds."""

from __future__ import annotations

import contextlib
import math
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from rosearch.errors import SpaceError
from rosearch.evolve.proposals import Proposals
from rosearch.evolve.runner import Runner
from rosearch.evolve.study.ledger import Ledger
from rosearch.evolve.study.trials import Candidate, TrialRecord
from rosearch.evolve.study.watching import Callback, best_so_far
from rosearch.evolve.workers.evaluation import Outcome, Silent
from rosearch.evolve.workers.failure_streaks import FailureStreaks
from rosearch.evolve.workers.interrupts import Interrupts
from rosearch.fitness import Fitness
from rosearch.owners import LEASE_SECONDS, RENEW_SECONDS
from rosearch.progress import no_bars, progress_bar

_POLL_SECONDS = 1.0
"""How often to look for changes by other processes while there is nothing to do."""
_SILENT_POLLS = 5
"""Polls in a row after which a warning says what the run is waiting for."""


@dataclass(kw_only=True)
class SearchRun:
    """Takes candidates from the proposals and records them until the study has enough.

    Args:
        evaluate: The evaluation.
        proposals: Proposes the candidates.
        ledger: The trials of the study.
        record: Records the metrics or the failure of a candidate and returns its trial, or
            ``None`` if another process has recorded it already.
        candidates: Number of finished trials at which the run ends.
        fitness: The fitness of the study.
        progress: Whether to show progress bars, its own and those of the evaluation.
        callbacks: Called with the Optuna study and the trial after each trial that has ended.
        timeout: Seconds after which no candidate, and no rung, is started.
    """

    evaluate: Callable[..., Mapping[str, float]]
    proposals: Proposals
    ledger: Ledger
    record: Callable[..., TrialRecord | None]
    candidates: int
    fitness: Fitness
    progress: bool
    callbacks: Sequence[Callback] = ()
    timeout: float | None = None

    def __post_init__(self) -> None:
        self._evaluated: set[int] = set()  # trials that are evaluated at the moment
        self._leased: set[int] = set()  # these, and those between two rungs
        self._no_genome_left: SpaceError | None = None
        self._interrupts = Interrupts()
        finished: set[int | None] = {None for t in self.ledger.trials() if t.state == "complete"}
        self._streaks = FailureStreaks(
            finished.union(*(range(len(t.rungs)) for t in self.ledger.trials())),
            advice="They are recorded as failed. Fix the cause and call run again, which goes on "
            "with other genomes; another study= starts with these.",
        )
        self._study = self.ledger.optuna_study() if self.callbacks else None
        self._end = math.inf if self.timeout is None else time.monotonic() + self.timeout
        self._bar = progress_bar(
            total=self.candidates,
            initial=self.ledger.finished(self.candidates),
            desc="candidates",
            unit="candidate",
            show=self.progress,
        )

    def run(
        self, executor: Executor | int | None, *, workers: int | None, time_limit: float | None
    ) -> None:
        """Evaluate until the study has its candidates; the arguments are those of Evolver.run."""
        evaluate = self.evaluate if self.progress else Silent(self.evaluate)
        with self._interrupts, self._bar, no_bars(not self.progress):
            self._check_genomes()
            try:
                with self._renewed_leases():
                    runner = Runner(evaluate, self._next, self._record, self._interrupts)
                    runner.run(executor, workers=workers, time_limit=time_limit)
            finally:
                self._release()

    def _check_genomes(self) -> None:
        """Let the evaluation refuse the first genomes before anything is trained."""
        check = getattr(self.evaluate, "check", None)
        if check is not None:
            for genome in self.proposals.upcoming():
                with self._interrupts.let_through():
                    check(genome)

    def _next(self) -> Candidate | None:
        polls = 0
        while not self._is_stopped:
            candidate = self._take_or_propose()
            if candidate is not None:
                self._evaluated.add(candidate.number)
                self._leased.add(candidate.number)
                return candidate
            if self._evaluated:
                return None
            if self._no_genome_left is not None:
                raise self._no_genome_left
            if self._update_bar() == self.candidates:
                return None
            with self._interrupts.let_through():
                time.sleep(_POLL_SECONDS)  # other processes are evaluating the rest
            polls += 1
            if polls == _SILENT_POLLS:
                self._warn_of_wait()
        return None

    def _take_or_propose(self) -> Candidate | None:
        try:
            candidate = self.proposals.take_up(
                LEASE_SECONDS, own=True, busy=self._evaluated, below=self.candidates
            )
            if candidate is not None or self._no_genome_left is not None:
                return candidate
            if len(self.ledger.trials()) >= self.candidates:
                return None
            return self.proposals.propose(LEASE_SECONDS)
        except SpaceError as error:
            self._no_genome_left = error  # raised once what is running is recorded
            return None

    def _record(self, candidate: Candidate, outcome: Outcome) -> None:
        told = outcome.metrics if outcome.failure is None else outcome.failure
        trial = self.record(candidate, told, outcome.seconds)
        self._evaluated.discard(candidate.number)
        if trial is None or trial.state != "running":
            self._leased.discard(candidate.number)
        self._update_bar()
        if trial is not None and trial.state != "running":
            self._call_back(trial.number)
        if trial is not None:
            self._streaks.record(trial.failure, candidate.rung)

    def _update_bar(self) -> int:
        """Show how many trials are finished, and return it."""
        finished = self.ledger.finished(self.candidates)
        if finished > self._bar.n and not self._bar.disable:
            best = best_so_far(self.ledger.trials(), self.fitness)
            self._bar.set_postfix_str(best, refresh=False)
        self._bar.update(finished - self._bar.n)
        return finished

    @property
    def _is_stopped(self) -> bool:
        """Whether the time is over, or a callback has stopped the run."""
        stopped = self._study is not None and self._study.is_stopped
        return stopped or time.monotonic() >= self._end

    def _call_back(self, number: int) -> None:
        if self._study is not None:
            trial = self.ledger.optuna_trial(number)
            for callback in self.callbacks:
                callback(self._study, trial)

    def _warn_of_wait(self) -> None:
        numbers = [t.number for t in self.ledger.trials() if t.state == "running"]
        if numbers:
            warnings.warn(
                f"Waiting for candidate {numbers[0]}, which is leased by "
                f"{self.ledger.owner_of(numbers[0])}. If it came from ask() and its outcome will "
                f"never be told, restart that process (of a notebook: its kernel).",
                RuntimeWarning,
                stacklevel=2,
            )

    @contextlib.contextmanager
    def _renewed_leases(self) -> Iterator[None]:
        """Renew the leases of this run, for processes on other machines."""
        if not self.ledger.is_shared:
            yield
            return
        over = threading.Event()

        def renew() -> None:
            while not over.wait(RENEW_SECONDS):
                for number in list(self._leased | self.proposals.reserved):
                    with contextlib.suppress(Exception):  # the next attempt is in a minute
                        self.ledger.lease(number, LEASE_SECONDS)

        thread = threading.Thread(target=renew, name="rosearch-leases", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _release(self) -> None:
        """Release the leases, so that another run can take up the trials at once."""
        if self._interrupts.is_forced:
            return  # possibly in the middle of a transaction, whose lock this would wait for
        with contextlib.suppress(Exception):  # the error that ended the run is the one to show
            for number in self._leased | self.proposals.reserved:
                self.ledger.release(number)
