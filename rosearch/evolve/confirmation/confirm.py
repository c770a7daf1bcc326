"""Whether a search's winners hold: trained again from other seeds, attacked on other text.

The best of many noisy figures is too good to be true. So the best candidates of a search are
evaluated afresh, several times each, on text that the search has not seen.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future
from concurrent.futures import wait as wait_for
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from rosearch.errors import DataError, EvaluationError, RosearchError
from rosearch.evolve.confirmation.result import (
    Confirmation,
    ConfirmationFile,
    Confirmed,
    ConfirmedRun,
)
from rosearch.evolve.strategies.offspring import check_seeds, check_size
from rosearch.evolve.study.result import SearchResult
from rosearch.evolve.study.settings import describe, plain
from rosearch.evolve.study.trials import Candidate, Failure, TrialRecord
from rosearch.evolve.successive_halving import in_full
from rosearch.evolve.workers.evaluation import Outcome, WorkerStartError, lost
from rosearch.evolve.workers.executors import Workers
from rosearch.evolve.workers.failure_streaks import FailureStreaks
from rosearch.evolve.workers.interrupts import Interrupts
from rosearch.fitness import Fitness, rank_order
from rosearch.seeding import child_seed
from rosearch.space import Genome

_POLL_SECONDS = 1.0
"""How long to wait at a time; on Windows, Ctrl-C is noticed only in between."""


def confirm(
    search: SearchResult,
    pipeline: Callable[..., Mapping[str, float]],
    *,
    top: int = 3,
    seeds: int | Sequence[int] = 3,
    genomes: Mapping[str, Genome] | None = None,
    seed: int = 0,
    storage: str | os.PathLike[str] | None = None,
    executor: Executor | int | None = None,
    time_limit: float | None = None,
    progress: bool = True,
) -> Confirmation:
    """Evaluate the best candidates of a search again, and say how sure their figures are.

    Each is trained from scratch with several seeds that the search did not use. An evaluation that
    fails is recorded, and the others go on. One whose process dies is tried once more by itself,
    then recorded as ``"WorkerLost"``. Every candidate gets the same seeds. Ctrl-C ends the
    processes at once and keeps what is finished in ``storage``.

    Args:
        search: What ``Evolver.run`` or ``load_search`` gave.
        pipeline: A :class:`~rosearch.Pipeline` whose attacker reads text that the search has
            not seen, or any callable ``evaluate(genome, *, seed)`` that returns numbers by name;
            one with rungs is evaluated in full. A metric that the search's fitness reads must be
            finite, as in the search.
            Its ``accuracy`` is measured on the distiller's dev examples: give it others
            than the search's for an accuracy that was not selected for.
        top: How many candidates: the best by the search's fitness; of a Pareto fitness by rank and
            then crowding distance. Only those that were evaluated in full count. 0: none.
        seeds: How many trainings each, or the seeds themselves.
        genomes: More to compare with, by name, such as ``{"transformer": templates...}``.
        seed: Root of the seeds of training, where ``seeds`` is a number.
        storage: A file (JSON) that keeps what is finished, for the same call to go on from
            there; with other ``top``, ``seeds`` or ``genomes`` it adds to it. What failed is tried
            again. Several processes may add to one file.
        executor: ``None`` evaluates here, one after the other; a number in so many processes; or
            any :class:`concurrent.futures.Executor`, which stays yours.
        time_limit: Seconds for one evaluation. One that takes longer fails with the kind
            ``"TimeLimit"``, as in :meth:`Evolver.run`.
        progress: Whether to show a bar after two seconds.

    Returns:
        Mean and standard deviation of every metric of each candidate, and every single run.

    Raises:
        DataError: The attacker of ``pipeline`` attacks examples that the search's attacker
            attacked, as far as the settings of both tell: they name a data set by its content, so
            the same sentences in another selection are not noticed.
        EvaluationError: The search has no candidate that was evaluated in full, and no
            ``genomes`` are given; three runs in a row failed with the same error before any had
            succeeded, or ten did later; ``pipeline``
            cannot be sent to worker processes; a process died at its start; or an executor of
            yours is broken.
        StudyMismatchError: The file ``storage`` was made with another pipeline.
        TypeError: ``executor`` is none of these.
        ValueError: ``top``, ``seeds`` or ``executor`` is out of range, or a name stands for two
            candidates.
    """
    refuse_seen_examples(search.settings.get("evaluate", {}), describe(pipeline))
    chosen = {**_best(search, top), **_named(genomes or {})}
    if not chosen:
        raise EvaluationError(
            f"The study {search.study!r} has no candidate that was evaluated in full, so there "
            f"is nothing to confirm. Run the search on, or name genomes with genomes=."
        )
    used = {trial.seed for trial in search.trials}
    numbers = _seeds(seeds, seed, used)
    settings = plain({"evaluate": describe(pipeline)})
    file = ConfirmationFile(None if storage is None else Path(storage), settings)
    check = getattr(pipeline, "check", None)
    if check is not None:
        for genome, _ in chosen.values():
            check(genome)
    keyed = {genome.key: genome for genome, _ in chosen.values()}
    missing = [
        (genome, number)
        for genome in keyed.values()
        for number in numbers
        if (genome.key, number) not in file.runs or file.runs[genome.key, number].failure
    ]
    succeeded = [None] if any(run.failure is None for run in file.runs.values()) else []
    streaks = FailureStreaks(succeeded, advice="Fix the cause and call confirm again.")
    fitness = _fitness(search)
    jobs = [Candidate(i, genome, number) for i, (genome, number) in enumerate(missing)]
    bar = tqdm(
        total=len(keyed) * len(numbers),
        initial=len(keyed) * len(numbers) - len(jobs),
        desc="confirm",
        unit="run",
        delay=2,
        disable=not progress,
    )

    def record(job: Candidate, outcome: Outcome) -> None:
        metrics = outcome.metrics or {}
        failure = outcome.failure or _not_finite(fitness, metrics)
        file.add(job.genome.key, ConfirmedRun(job.seed, metrics, failure, outcome.seconds))
        bar.update()
        streaks.record(failure)

    with bar:
        if jobs:
            # Of a caller's executor all is asked at once: not every one tells how much it takes.
            most = None if executor is None else len(jobs)
            with (
                Interrupts() as interrupts,
                Workers(
                    in_full(pipeline), executor, workers=most, time_limit=time_limit
                ) as workers,
            ):
                _Round(workers, record, interrupts).run(jobs)
    found = []
    for name, (genome, trial) in chosen.items():
        runs = tuple(file.runs[genome.key, number] for number in numbers)
        found.append(
            Confirmed(
                name,
                genome,
                runs,
                trial.number if trial else None,
                dict(trial.metrics) if trial else {},
                _feasible(fitness, runs),
            )
        )
    return Confirmation(search.study, tuple(found))


def _fitness(search: SearchResult) -> Fitness | None:
    """That of the search, where it is known: it may be made by hand, or with a term of its own."""
    try:
        return Fitness.from_settings(search.settings["fitness"])
    except (KeyError, RosearchError):
        return None


def _not_finite(fitness: Fitness | None, metrics: Mapping[str, float]) -> Failure | None:
    """What is wrong with metrics that the fitness reads; one that is not there may be missing."""
    terms = {} if fitness is None else fitness.settings["terms"]
    for term in terms.values():
        value = metrics.get(term["metric"], 0.0)
        if not math.isfinite(value):
            text = f"The metric {term['metric']!r} must be finite, the evaluation gave {value!r}."
            return Failure("EvaluationError", text, "")
    return None


def _feasible(fitness: Fitness | None, runs: Sequence[ConfirmedRun]) -> int | None:
    """How many of the runs that did not fail keep the search's constraints."""
    if fitness is None or not fitness.constraints:
        return None
    try:
        scores = [fitness.score(run.metrics) for run in runs if run.failure is None]
    except RosearchError:  # an evaluation with other metrics
        return None
    return sum(score.feasible for score in scores)


def refuse_seen_examples(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse an attacker whose examples the search has attacked.

    Both are descriptions of evaluations. An attacker's settings name the data it reads by a
    digest, ``data``, and its ``examples`` by their indices; where there are none, nothing can
    be told.

    Raises:
        DataError: Some examples are in both.
    """
    seen: dict[str, set[int]] = {}
    for data, examples in _attacked(before):
        seen.setdefault(data, set()).update(examples)
    for data, examples in _attacked(now):
        shared = seen.get(data, set()) & set(examples)
        if shared:
            raise DataError(
                f"{len(shared)} of the {len(set(examples))} examples that this pipeline attacks "
                f"are among those by which the search chose its candidates, so their figures "
                f"would be too good. Give the attacker held-out text: "
                f"RobustnessEvaluator(attacks, test)."
            )


def _attacked(settings: Any) -> Iterator[tuple[str, Sequence[int]]]:
    """Data and examples of every attacker in ``settings``, however deep."""
    if isinstance(settings, Mapping):
        data, examples = settings.get("data"), settings.get("examples")
        if isinstance(data, str) and isinstance(examples, (list, tuple)):
            yield data, examples
        for value in settings.values():
            yield from _attacked(value)
    elif isinstance(settings, (list, tuple)):
        for value in settings:
            yield from _attacked(value)


def _best(search: SearchResult, top: int) -> dict[str, tuple[Genome, TrialRecord | None]]:
    top = check_size("top", top, 0)
    full = [t for t in search.trials if t.state == "complete" and t.score is not None]
    order = rank_order([t.score for t in full if t.score is not None])[:top]
    return {f"candidate {full[i].number}": (full[i].genome, full[i]) for i in order}


def _named(genomes: Mapping[str, Genome]) -> dict[str, tuple[Genome, TrialRecord | None]]:
    given: Any = genomes
    if not isinstance(given, Mapping):
        raise ValueError(f"genomes is a mapping from names to genomes, got {genomes!r}.")
    for name, genome in genomes.items():
        if not isinstance(genome, Genome):
            raise ValueError(f"genomes[{name!r}] must be a Genome, got {genome!r}.")
        if name.startswith("candidate "):
            raise ValueError(f"genomes[{name!r}]: names of the search's own start like this.")
    return {name: (genome, None) for name, genome in genomes.items()}


def _seeds(seeds: int | Sequence[int], root: int, used: set[int]) -> list[int]:
    numbers = check_seeds(seeds, lambda i: child_seed(root, "confirm", i))
    again = used & set(numbers)
    if again:
        raise ValueError(f"The search trained with the seed {min(again)} already; choose others.")
    return numbers


class _Round:
    """Evaluates jobs, as many at a time as the workers take.

    Args:
        workers: Where.
        record: Called with every job and what came of it, as they finish.
        interrupts: Let through while there is nothing to do but wait.
    """

    def __init__(
        self,
        workers: Workers,
        record: Callable[[Candidate, Outcome], None],
        interrupts: Interrupts,
    ) -> None:
        self._workers = workers
        self._record = record
        self._interrupts = interrupts
        self._open: dict[Future[Outcome], Candidate] = {}
        self._alone: deque[Candidate] = deque()
        self._tried: set[int] = set()

    def run(self, jobs: Sequence[Candidate]) -> None:
        """Evaluate all of them; an interrupt leaves those recorded that are finished."""
        waiting = deque(jobs)
        try:
            while waiting or self._open or self._alone:
                while waiting and len(self._open) < self._workers.count:
                    if self._submit(waiting.popleft()).done():
                        break  # some executors evaluate at once: record it before the next
                if self._alone and not self._open:
                    self._submit(self._alone.popleft())
                self._collect()
        except BaseException:
            self._keep_finished()
            raise

    def _submit(self, job: Candidate) -> Future[Outcome]:
        try:
            with self._interrupts.let_through():  # some executors evaluate at once
                future = self._workers.submit(job)
        except BrokenExecutor as error:
            raise EvaluationError(
                f"The executor takes no more work ({error}). What is finished is in the file "
                f"storage=, if there is one: call confirm again with a new executor, or with "
                f"executor=1, which replaces a process that dies."
            ) from error
        self._open[future] = job
        return future

    def _collect(self) -> None:
        with self._interrupts.let_through():
            done, _ = wait_for(self._open, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            job = self._open[future]
            try:
                outcome = future.result()
            except WorkerStartError:
                raise
            except Exception as error:  # noqa: BLE001 - of the worker, not of the candidate
                # Dask has itself tried several times before it gives up.
                if job.number not in self._tried and type(error).__name__ != "KilledWorker":
                    self._tried.add(job.number)
                    self._alone.append(job)
                    del self._open[future]
                    continue
                outcome = lost(error)
            self._record(job, outcome)
            del self._open[future]

    def _keep_finished(self) -> None:
        for future, job in self._open.items():
            future.cancel()
            if future.done() and not future.cancelled() and future.exception() is None:
                with contextlib.suppress(Exception):  # the error that ended it is the one to show
                    self._record(job, future.result())
