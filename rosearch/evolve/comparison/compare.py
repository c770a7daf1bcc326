"""Compare strategies over many searches whose time is simulated."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED
from concurrent.futures import wait as wait_for
from typing import Any, TypeAlias

import numpy as np

from rosearch.checks import choice, number, refused, seed_list, whole_number
from rosearch.errors import ArgumentError, EvaluationError, SpaceError
from rosearch.evolve.comparison.result import Comparison, SimulatedRun
from rosearch.evolve.evolver import Evolver
from rosearch.evolve.strategies import Strategy
from rosearch.evolve.study.trials import Failure, TrialRecord
from rosearch.evolve.successive_halving import Fidelity, in_full
from rosearch.evolve.workers.child_processes import ChildProcesses
from rosearch.evolve.workers.evaluation import Shared, WorkerLostError, plain_metrics
from rosearch.evolve.workers.failure_streaks import alike
from rosearch.evolve.workers.interrupts import Interrupts
from rosearch.fitness import Fitness
from rosearch.progress import progress_bar
from rosearch.space import SearchSpace

_POLL_SECONDS = 1.0
"""How long to wait at a time; on Windows, Ctrl-C is only noticed in between."""

_Search: TypeAlias = "Callable[[int], SimulatedRun]"
"""One search with a seed."""


def compare(
    strategies: Mapping[str, Strategy],
    evaluate: Callable[..., Mapping[str, float]],
    space: SearchSpace,
    fitness: Fitness,
    *,
    candidates: int = 100,
    seeds: int | Sequence[int] = 20,
    fidelity: Fidelity | Mapping[str, Fidelity | None] | None = None,
    best: float | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Comparison:
    """Run every strategy with every seed and the same budget, in memory.

    For evaluations that take next to no time because they look up or compute their metrics. The
    candidates are those of :meth:`Evolver.run` with one worker. The metric ``seconds`` of an
    evaluation is its simulated duration (at a rung, the total of this rung and those below);
    without that metric it takes one second. An evaluation that raises takes the median duration of
    the successful ones before it in the same search (of its rung, if there are any), or one second.

    Args:
        strategies: The strategies by name; the first is the baseline of the summary.
        evaluate: The evaluation, as for :class:`Evolver`.
        space: Where genomes come from.
        fitness: A weighted fitness, since curves need one number a candidate.
        candidates: Budget of one search in candidates. A search ends earlier when the space has no
            new genome.
        seeds: Number of searches of each strategy (from seed 0), or their seeds.
        fidelity: The rule that decides which candidates go on to the next rung, such as
            ``SuccessiveHalving()``, for all searches or by name of the strategy. Without a rule
            each candidate is evaluated in full: without the argument ``rung``, or, if that has no
            default, at one rung after the other.
        best: The best possible fitness, if known. Default: the best that any search finds.
        workers: Number of processes, which Ctrl-C ends at once; ``None`` runs in this process.
        progress: Whether to show a progress bar after two seconds.

    Raises:
        ArgumentError: An argument is out of range, ``fidelity`` names an unknown strategy, or no
            search evaluated a feasible candidate in full and ``best`` is not given.
        EvaluationError: All candidates of a search fail with the same error, the evaluation cannot
            be sent to processes, a search raises an error in one, or a process dies.
    """
    if not strategies or not isinstance(strategies, Mapping):
        raise refused("strategies", "a mapping with at least one strategy by name", strategies)
    seeds = seed_list("seeds", seeds, int)
    candidates = whole_number("candidates", candidates)
    if workers is not None:
        workers = whole_number("workers", workers)
    if best is not None:
        best = number("best", best)
    if fitness.is_pareto:
        raise refused("fitness", "a weighted Fitness({...}), not a Pareto fitness", fitness)
    rules = dict(fidelity) if isinstance(fidelity, Mapping) else dict.fromkeys(strategies, fidelity)
    for name in rules:
        choice("each name of fidelity", name, strategies)
    searches: dict[str, _Search] = {}
    for name, strategy in strategies.items():
        rule = rules.get(name)
        whole = evaluate if rule else in_full(evaluate)
        settings = {"strategy": strategy, "fidelity": rule}
        searches[name] = functools.partial(_search, space, whole, fitness, candidates, settings)
    jobs = list(itertools.product(searches, seeds))
    found: dict[tuple[str, int], SimulatedRun] = {}
    results = _run_here(searches, jobs) if workers is None else _run(searches, jobs, workers)
    bar = progress_bar(total=len(jobs), desc="searches", unit="search", show=progress)
    with bar, contextlib.closing(results):
        for job, run in results:
            found[job] = run
            bar.update()
    if best is None:
        best = max((r.final for r in found.values() if math.isfinite(r.final)), default=math.nan)
        if math.isnan(best):
            raise ArgumentError("No search evaluated a feasible candidate in full; pass best=.")
    return Comparison(
        {name: tuple(found[name, seed] for seed in seeds) for name in strategies}, best
    )


_Job: TypeAlias = "tuple[str, int]"
"""Name of a strategy, and a seed."""
_Results: TypeAlias = "Generator[tuple[_Job, SimulatedRun], None, None]"


def _run_here(searches: Mapping[str, _Search], jobs: Sequence[_Job]) -> _Results:
    for name, seed in jobs:
        yield (name, seed), searches[name](seed)


def _run(searches: Mapping[str, _Search], jobs: Sequence[_Job], workers: int) -> _Results:
    """Run the searches in processes; yield each when it is finished."""
    shared = Shared.of(dict(searches))
    with Interrupts() as interrupts, contextlib.closing(ChildProcesses(workers)) as children:
        submit = children.pool.submit
        waiting = {submit(children.call, _run_or_fail, shared, job): job for job in jobs}
        while waiting:
            with interrupts.let_through():
                done, _ = wait_for(waiting, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                name, seed = waiting.pop(future)
                try:
                    run = future.result()
                except WorkerLostError as error:
                    raise EvaluationError(
                        f"A process with a search of {name!r} died ({error}). The usual cause is a "
                        f"lack of memory: try fewer workers."
                    ) from error
                if isinstance(run, Failure):
                    raise EvaluationError(f"A search of {name!r} failed: {run}\n{run.traceback}")
                yield (name, seed), run


def _run_or_fail(searches: Mapping[str, _Search], job: _Job) -> SimulatedRun | Failure:
    """Return the exception of a search as text, since it may not be picklable."""
    name, seed = job
    try:
        return searches[name](seed)
    except Exception as error:  # noqa: BLE001 - it is raised again in the calling process
        return Failure.from_exception(error)


def _search(
    space: SearchSpace,
    evaluate: Callable[..., Mapping[str, float]],
    fitness: Fitness,
    candidates: int,
    settings: Mapping[str, Any],
    seed: int,
) -> SimulatedRun:
    search = Evolver(space, evaluate, fitness, seed=seed, **settings)
    durations: defaultdict[int | None, list[float]] = defaultdict(list)
    trial: TrialRecord | None = None
    while not _is_last(trial, candidates):
        try:
            candidate = search.ask()
        except SpaceError:
            break  # every genome of the space has been evaluated
        outcome: Mapping[str, float] | Exception
        try:
            outcome = plain_metrics(evaluate(candidate.genome, **candidate.arguments))
            below = trial.rungs[-1] if trial and candidate.rung else {}
            took = _duration(outcome, below)
            durations[candidate.rung].append(took)
        except Exception as error:  # noqa: BLE001 - an evaluation may raise anything
            outcome = error
            known = durations[candidate.rung] or list(itertools.chain(*durations.values()))
            took = statistics.median(known) if known else 1.0
        trial = search.tell(candidate, outcome, seconds=took)
    trials = [t for t in search.result.trials if t.state != "running"]
    _refuse_only_failures(trials)
    full = [
        t.score.values[0] if t.state == "complete" and t.score and t.score.feasible else math.nan
        for t in trials
    ]
    took_each = np.cumsum([t.seconds or 0.0 for t in trials])
    return SimulatedRun(seed, np.fmax.accumulate(full), took_each)


def _is_last(trial: TrialRecord | None, candidates: int) -> bool:
    return trial is not None and trial.state != "running" and trial.number + 1 >= candidates


def _duration(metrics: Mapping[str, float], below: Mapping[str, float]) -> float:
    """Simulated seconds of an evaluation; its metric includes those of the rungs ``below``."""
    if "seconds" not in metrics:
        return 1.0
    took = metrics["seconds"] - below.get("seconds", 0.0)
    return number("the metric 'seconds', minus that of the rungs below,", took, 0.0)


def _refuse_only_failures(trials: Sequence[TrialRecord]) -> None:
    failures = [trial.failure for trial in trials if trial.failure is not None]
    if len(failures) == len(trials) and alike(failures):
        raise EvaluationError(
            f"All {len(failures)} candidates of a search failed with the same error: "
            f"{failures[0]}\n{failures[0].traceback}"
        )
