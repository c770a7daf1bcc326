"""Evaluate the best candidates of a search again, with new seeds and on unseen texts.

The best of many noisy metrics is too optimistic. A second evaluation, several times each, on texts
that the search has not seen gives an unbiased estimate.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from rosearch.checks import instance, refused, seed_list, whole_number
from rosearch.errors import ArgumentError, DataError, EvaluationError, RosearchError
from rosearch.evolve.confirmation.file import ConfirmationFile
from rosearch.evolve.confirmation.result import Confirmation, Confirmed, ConfirmedRun
from rosearch.evolve.runner import Runner
from rosearch.evolve.study.result import SearchResult
from rosearch.evolve.study.settings import describe, plain
from rosearch.evolve.study.trials import Candidate, Failure, TrialRecord
from rosearch.evolve.successive_halving import in_full
from rosearch.evolve.workers.default import default_executor
from rosearch.evolve.workers.evaluation import Outcome, Silent
from rosearch.evolve.workers.failure_streaks import FailureStreaks
from rosearch.evolve.workers.interrupts import Interrupts
from rosearch.fitness import Fitness, rank_order
from rosearch.progress import progress_bar
from rosearch.seeding import child_seed
from rosearch.space import Genome


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
    """Evaluate the best candidates of a search again, and estimate their metrics.

    Each candidate is trained from scratch with several seeds that the search did not use, the same
    for all candidates. An evaluation that fails is recorded, and the others go on. One whose
    process dies is tried once more, then recorded as ``"WorkerLost"``. Ctrl-C ends the processes at
    once and keeps the finished runs in ``storage``.

    Args:
        search: The result of ``Evolver.run`` or ``load_search``.
        pipeline: A :class:`~rosearch.Pipeline` whose attacker uses texts that the search has not
            seen, or any callable ``evaluate(genome, *, seed)`` that returns numbers by name; one
            with rungs is evaluated in full. Metrics that the search's fitness reads must be finite.
            ``accuracy`` is measured on the distiller's dev set: use another one than in the search
            for an accuracy that candidates were not selected by.
        top: Number of candidates: the best by the search's fitness (of a Pareto fitness by rank and
            crowding distance) of those that were evaluated in full. May be 0.
        seeds: Number of trainings of each, or their seeds.
        genomes: Other genomes to evaluate, by name, such as ``{"TextCNN": templates.text_cnn()}``.
        seed: Root of the seeds, if ``seeds`` is a number.
        storage: A JSON file that keeps finished runs, so that the same call continues after an
            interruption. A call with other ``top``, ``seeds`` or ``genomes`` adds to it; failed
            runs are tried again. Several processes may share one file.
        executor: A number starts that many processes; or any
            :class:`concurrent.futures.Executor`, which is not shut down. ``None``: as many
            processes as a Pipeline on a CPU has cores; otherwise, and where other processes cannot
            be used, this process evaluates one after the other.
        time_limit: Seconds for one evaluation. One that takes longer fails with the kind
            ``"TimeLimit"``, as in :meth:`Evolver.run`.
        progress: Whether to show progress bars; ``False`` silences those of training and attacks
            too.

    Returns:
        Every run, and mean and standard deviation of every metric of each candidate.

    Raises:
        DataError: The attacker of ``pipeline`` attacks examples that the search's attacker
            attacked. Data sets are compared as a whole by their content, so equal sentences in
            different selections are not noticed.
        EvaluationError: The search has no candidate that was evaluated in full, and there are no
            ``genomes``; three runs in a row failed with the same error before any had succeeded, or
            ten did later; ``pipeline`` cannot be sent to worker processes; a process died at its
            start; or the executor is broken.
        StudyMismatchError: The file ``storage`` was made with another pipeline.
        ArgumentError: ``top``, ``seeds``, ``genomes`` or ``executor`` has a wrong value, or the
            search used one of the seeds.
    """
    check_unseen(search.settings.get("evaluate", {}), describe(pipeline))
    trials = _best(search, whole_number("top", top, 0))
    named = {f"candidate {trial.number}": trial.genome for trial in trials}
    named |= _checked(genomes or {})
    if not named:
        raise EvaluationError(
            f"The study {search.study!r} has no candidate that was evaluated in full. Continue the "
            f"search, or pass genomes=."
        )
    seeds = seed_list("seeds", seeds, functools.partial(child_seed, seed, "confirm"))
    used = {trial.seed for trial in search.trials}.intersection(seeds)
    if used:
        raise ArgumentError(f"The search used the seed {min(used)} already; choose other seeds.")
    settings = plain({"evaluate": describe(pipeline)})
    file = ConfirmationFile(None if storage is None else Path(storage), settings)
    everyone = named.values()
    check = getattr(pipeline, "check", None)
    if check is not None:
        for genome in everyone:
            check(genome)
    fitness = _fitness(search)
    _evaluate_missing(pipeline, everyone, seeds, file, fitness, executor, time_limit, progress)
    searched = {f"candidate {trial.number}": trial for trial in trials}
    found = []
    for name, genome in named.items():
        runs = tuple(file.runs[genome.key, number] for number in seeds)
        trial = searched.get(name)
        number, metrics = (trial.number, dict(trial.metrics)) if trial else (None, {})
        found.append(Confirmed(name, genome, runs, number, metrics, _feasible(fitness, runs)))
    return Confirmation(search.study, tuple(found))


def _evaluate_missing(
    pipeline: Callable[..., Mapping[str, float]],
    genomes: Iterable[Genome],
    seeds: Sequence[int],
    file: ConfirmationFile,
    fitness: Fitness | None,
    executor: Executor | int | None,
    time_limit: float | None,
    progress: bool,
) -> None:
    """Evaluate the genomes with the seeds for which the file has no successful run."""
    pairs = {(genome.key, seed): genome for genome in genomes for seed in seeds}
    missing = [
        (genome, seed)
        for (key, seed), genome in pairs.items()
        if (key, seed) not in file.runs or file.runs[key, seed].failure
    ]
    jobs = [Candidate(i, genome, seed) for i, (genome, seed) in enumerate(missing)]
    succeeded = [None] if any(run.failure is None for run in file.runs.values()) else []
    streaks = FailureStreaks(succeeded, advice="Fix the cause and call confirm again.")
    done = len(pairs) - len(jobs)
    bar = progress_bar(total=len(pairs), initial=done, desc="confirm", unit="run", show=progress)

    def record(job: Candidate, outcome: Outcome) -> None:
        metrics = outcome.metrics or {}
        failure = outcome.failure or _not_finite(fitness, metrics)
        file.add(job.genome.key, ConfirmedRun(job.seed, metrics, failure, outcome.seconds))
        bar.update()
        streaks.record(failure)

    if jobs:
        if executor is None:
            executor = default_executor(pipeline, len(jobs), reason="there is only one run left")
        next_job = functools.partial(next, iter(jobs), None)
        # An executor gets all jobs at once, since not every one tells how many it runs at a time.
        workers = None if executor is None else len(jobs)
        with bar, Interrupts() as interrupts:
            whole = in_full(pipeline)
            runner = Runner(whole if progress else Silent(whole), next_job, record, interrupts)
            runner.run(executor, workers=workers, time_limit=time_limit)


def _best(search: SearchResult, top: int) -> list[TrialRecord]:
    """The best trials that were evaluated in full."""
    full = [trial for trial in search.trials if trial.state == "complete"]
    order = rank_order([trial.score for trial in full if trial.score is not None])
    return [full[i] for i in order[:top]]


def _checked(genomes: Any) -> dict[str, Genome]:
    if not isinstance(genomes, Mapping):
        raise refused("genomes", "a mapping from names to genomes", genomes)
    for name, genome in genomes.items():
        instance(f"genomes[{name!r}]", genome, Genome, "a Genome")
        if name.startswith("candidate "):
            raise refused("genomes", "without names such as 'candidate 3'", name)
    return dict(genomes)


def _fitness(search: SearchResult) -> Fitness | None:
    """The search's fitness; ``None`` if its settings lack it or name an unknown term."""
    try:
        return Fitness.from_settings(search.settings["fitness"])
    except (KeyError, RosearchError):
        return None


def _not_finite(fitness: Fitness | None, metrics: Mapping[str, float]) -> Failure | None:
    """The failure of a run with a NaN or infinite metric that the fitness reads."""
    terms = {} if fitness is None else fitness.settings["terms"]
    for term in terms.values():
        value = metrics.get(term["metric"], 0.0)
        if not math.isfinite(value):
            text = f"The metric {term['metric']!r} must be finite, the evaluation gave {value!r}."
            return Failure("EvaluationError", text, "")
    return None


def _feasible(fitness: Fitness | None, runs: Sequence[ConfirmedRun]) -> int | None:
    """Number of successful runs that satisfy the search's constraints."""
    if fitness is None or not fitness.constraints:
        return None
    try:
        scores = [fitness.score(run.metrics) for run in runs if run.failure is None]
    except RosearchError:  # a term reads a metric that this evaluation does not give
        return None
    return sum(score.feasible for score in scores)


def check_unseen(searched: Mapping[str, Any], judge: Mapping[str, Any]) -> None:
    """Check that a confirmation attacks no example that the search attacked.

    The settings of an attacker have a digest of its data set, ``data``, and the indices of its
    ``examples``; evaluations without such settings pass.

    Args:
        searched: Settings of the search's evaluation.
        judge: Settings of the evaluation that confirms.

    Raises:
        DataError: Both attack some of the same examples.
    """
    seen = {(data, i) for data, examples in _attacked(searched) for i in examples}
    for data, examples in _attacked(judge):
        shared = seen.intersection((data, i) for i in examples)
        if shared:
            raise DataError(
                f"{len(shared)} of the {len(set(examples))} examples that this pipeline attacks "
                f"were attacked in the search, so the metrics would be too optimistic. Attack "
                f"held-out texts: RobustnessEvaluator(attacks, test)."
            )


def _attacked(settings: Any) -> Iterator[tuple[str, Sequence[int]]]:
    """Data set and examples of every attacker in nested settings."""
    if isinstance(settings, Mapping):
        data, examples = settings.get("data"), settings.get("examples")
        if isinstance(data, str) and isinstance(examples, (list, tuple)):
            yield data, examples
        settings = list(settings.values())
    if isinstance(settings, (list, tuple)):
        for value in settings:
            yield from _attacked(value)
