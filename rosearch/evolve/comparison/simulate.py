"""A search without a storage, for evaluations that cost next to nothing.

Candidates, seeds and the order of rungs are those of :meth:`Evolver.run` with one worker: the
code that proposes and judges them is the same, only what remembers the trials differs.
"""

from __future__ import annotations

import contextlib
import functools
import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED
from concurrent.futures import wait as wait_for
from typing import Any, TypeAlias

import numpy as np
from tqdm.auto import tqdm

from rosearch.errors import EvaluationError, SpaceError
from rosearch.evolve.comparison.result import Comparison, SimulatedRun
from rosearch.evolve.evolver import Evolver
from rosearch.evolve.strategies import Strategy
from rosearch.evolve.strategies.offspring import check_seeds, check_size
from rosearch.evolve.study.trials import Candidate, Failure, TrialRecord
from rosearch.evolve.successive_halving import Fidelity, in_full
from rosearch.evolve.workers.evaluation import Shared, WorkerLostError, plain_metrics
from rosearch.evolve.workers.executors import worker_processes
from rosearch.evolve.workers.failure_streaks import alike
from rosearch.evolve.workers.interrupts import Interrupts
from rosearch.fitness import Fitness
from rosearch.space import SearchSpace


class Simulation(Evolver):
    """An :class:`Evolver` in memory with simulated time.

    Attributes:
        deciding: Real seconds that proposals took so far.
    """

    deciding = 0.0

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._known: defaultdict[int | None, list[float]] = defaultdict(list)

    def simulate(self, candidates: int, seconds: float) -> tuple[TrialRecord, ...]:
        """Go on for so many candidates or simulated seconds; see :func:`simulate`."""
        passed = 0.0
        while passed < seconds:
            start = time.perf_counter()
            candidate = self._next(candidates)
            self.deciding += time.perf_counter() - start
            if candidate is None:
                break
            outcome: Mapping[str, float] | Failure
            try:
                outcome = plain_metrics(self.evaluate(candidate.genome, **candidate.arguments))
                took = self._took(candidate, outcome)
                self._known[candidate.rung].append(took)
            except Exception as error:  # noqa: BLE001 - whatever it raises is the candidate's own
                outcome = Failure.from_exception(error)
                took = self._typical(candidate.rung)
            self.tell(candidate, outcome, seconds=took)
            passed += took
        trials = self._ledger.trials()
        failures = [trial.failure for trial in trials if trial.failure is not None]
        if len(failures) == len(trials) and alike(failures):
            raise EvaluationError(
                f"All {len(failures)} candidates of a search failed with the same error: "
                f"{failures[0]}\n{failures[0].traceback}"
            )
        return trials

    def _took(self, candidate: Candidate, metrics: Mapping[str, float]) -> float:
        """Seconds of this evaluation; the metric counts those of the rungs below, too."""
        if "seconds" not in metrics:
            return 1.0
        before = self._ledger.trials()[candidate.number].rungs[-1:]
        below = sum(row["seconds"] for row in before)
        took = float(metrics["seconds"]) - below
        if not 0 <= took < math.inf:
            raise EvaluationError(
                f"The metric 'seconds' counts those of the rungs below, too: expected a finite "
                f"number of at least {below!r}, got {metrics['seconds']!r}."
            )
        return took

    def _typical(self, rung: int | None) -> float:
        """Seconds that an evaluation without metrics is taken to have needed."""
        known = self._known[rung] or [took for rows in self._known.values() for took in rows]
        return statistics.median(known) if known else 1.0

    def _next(self, candidates: int) -> Candidate | None:
        candidate = self._proposals.take_up(math.inf, own=True, below=candidates)
        if candidate is not None or len(self._ledger.trials()) >= candidates:
            return candidate
        try:
            return self._proposals.propose(math.inf)
        except SpaceError:
            return None  # all that the space has is evaluated


def simulate(
    space: SearchSpace,
    evaluate: Callable[..., Mapping[str, float]],
    fitness: Fitness,
    *,
    candidates: int = 64,
    seconds: float = math.inf,
    **settings: Any,
) -> tuple[TrialRecord, ...]:
    """The trials of one search, in order; it runs here, one evaluation after the other.

    The metric ``seconds`` of each evaluation counts as the time that it took, at a rung together
    with those below, as :class:`~rosearch.Pipeline` gives it; without it each takes one second. One
    that raises takes as long as the others: the median of those before it that did not raise, of
    its rung where there are some, and one second before the first.

    Args:
        space: Where genomes come from.
        evaluate: The evaluation, as for :class:`Evolver`.
        fitness: What is wanted.
        candidates: When to stop. The search ends earlier where the space has no genome left.
        seconds: Simulated time after which no new evaluation begins.
        settings: Others of :class:`Evolver`, such as ``strategy``, ``seed`` and ``fidelity``.
    """
    return Simulation(space, evaluate, fitness, **settings).simulate(candidates, seconds)


def compare(
    strategies: Mapping[str, Strategy],
    evaluate: Callable[..., Mapping[str, float]],
    space: SearchSpace,
    fitness: Fitness,
    *,
    candidates: int = 100,
    seconds: float = math.inf,
    seeds: int | Sequence[int] = 20,
    fidelity: Fidelity | Mapping[str, Fidelity | None] | None = None,
    best: float | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Comparison:
    """Run every strategy with every seed and the same budget, without a storage.

    Meant for evaluations that look figures up or compute them at once, such as
    :class:`~rosearch.evolve.comparison.tabular.TabularEvaluation`. The metric ``seconds`` of an
    evaluation counts as the time that it took, as in :func:`simulate`; one that raises takes the
    median of those before it.

    Args:
        strategies: The strategies by name; the first is what the others are compared with.
        evaluate: The evaluation, as for :class:`Evolver`.
        space: Where genomes come from.
        fitness: What is wanted; weighted, as curves need one number.
        candidates: Budget of one search in candidates. It ends earlier where the space has none
            left.
        seconds: Budget in simulated seconds, after which no new evaluation begins.
        seeds: How many searches of each strategy (from seed 0), or their seeds.
        fidelity: The rule for who goes on to the next rung, such as ``SuccessiveHalving()``, for
            all searches, or a mapping from the names of strategies to theirs. Without a rule each
            candidate is evaluated in full: without the argument ``rung``, or, where that has no
            default, at one rung after the other.
        best: The best fitness there is, where it is known, such as
            ``table.best(fitness)[1]``. Default: the best that any of the searches finds.
        workers: Number of processes, which Ctrl-C ends at once; ``None`` runs all here.
        progress: Whether to show a bar after two seconds.

    Raises:
        ValueError: There is no strategy, no seed, no budget or no worker, a seed is there twice,
            the fitness is a Pareto fitness,
            ``fidelity`` names an unknown strategy, or nothing was evaluated in full and ``best``
            is not known.
        EvaluationError: The evaluation cannot be sent to processes, a search raises an error
            in one, or a process dies.
    """
    named: Any = strategies
    if not isinstance(named, Mapping) or not named:
        raise ValueError(f"Expected at least one strategy, by name, got {strategies!r}.")
    numbers = check_seeds(seeds, lambda i: i)
    candidates = check_size("candidates", candidates, 1)
    if not seconds > 0:
        raise ValueError(f"seconds is a positive number, got {seconds!r}.")
    if workers is not None:
        workers = check_size("workers, if it is not None,", workers, 1)
    if best is not None and not math.isfinite(best):
        raise ValueError(f"best is a finite number, or None, got {best!r}.")
    if fitness.is_pareto:
        raise ValueError("compare needs one number a candidate: a weighted Fitness({...}).")
    of = dict(fidelity) if isinstance(fidelity, Mapping) else dict.fromkeys(strategies, fidelity)
    unknown = [name for name in of if name not in strategies]
    if unknown:
        raise ValueError(f"fidelity names {unknown[0]!r}, which is not among the strategies.")
    jobs = {
        name: functools.partial(
            _searches,
            evaluate if of.get(name) is not None else in_full(evaluate),
            space,
            fitness,
            strategy,
            of.get(name),
            candidates,
            seconds,
        )
        for name, strategy in strategies.items()
    }
    bar = tqdm(
        total=len(jobs) * len(numbers),
        desc="searches",
        unit="search",
        delay=2,
        disable=not progress,
    )
    runs: dict[str, list[SimulatedRun]] = {name: [] for name in jobs}
    with bar, contextlib.closing(_all(jobs, numbers, workers)) as all_found:
        for name, found in all_found:
            runs[name] += found
            bar.update(len(found))
    if best is None:
        known = [run.final for found in runs.values() for run in found]
        best = float(np.nanmax(known)) if np.isfinite(known).any() else math.nan
        if math.isnan(best):
            raise ValueError("No search has evaluated a feasible candidate in full.")
    place = {number: i for i, number in enumerate(numbers)}
    return Comparison(
        {name: tuple(sorted(found, key=lambda r: place[r.seed])) for name, found in runs.items()},
        best,
    )


_POLL_SECONDS = 1.0
"""How long to wait at a time; on Windows, Ctrl-C is noticed only in between."""
_Job: TypeAlias = "Callable[[Sequence[int]], list[SimulatedRun]]"


def _all(
    jobs: Mapping[str, _Job], seeds: Sequence[int], workers: int | None
) -> Generator[tuple[str, list[SimulatedRun]], None, None]:
    """Searches of every job, as they finish."""
    if workers is None:
        for name, job in jobs.items():
            for seed in seeds:
                yield name, job([seed])
        return
    size = max(1, len(seeds) // (4 * workers))
    parts = [seeds[start : start + size] for start in range(0, len(seeds), size)]
    shared = {name: Shared.of(job, what=f"What {name!r} is made of") for name, job in jobs.items()}
    with Interrupts() as interrupts, worker_processes(_caught, workers) as submit:
        waiting = {submit(shared[name], part): name for name in jobs for part in parts}
        while waiting:
            with interrupts.let_through():
                done, _ = wait_for(waiting, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                name = waiting.pop(future)
                try:
                    found = future.result()
                except WorkerLostError as error:
                    raise EvaluationError(
                        f"A process with searches of {name!r} died ({error}). Out of memory is "
                        f"the usual cause: try fewer workers."
                    ) from error
                if isinstance(found, Failure):
                    raise EvaluationError(
                        f"A search of {name!r} failed: {found}\n{found.traceback}"
                    )
                yield name, found


def _caught(job: _Job, seeds: Any) -> list[SimulatedRun] | Failure:
    """The searches of a job, or what it raises as text: an exception may not be picklable."""
    try:
        return job(seeds)
    except Exception as error:  # noqa: BLE001 - it is raised where the searches were asked for
        return Failure.from_exception(error)


def _searches(
    evaluate: Callable[..., Mapping[str, float]],
    space: SearchSpace,
    fitness: Fitness,
    strategy: Strategy,
    fidelity: Fidelity | None,
    candidates: int,
    seconds: float,
    seeds: Sequence[int],
) -> list[SimulatedRun]:
    """One search a seed."""
    runs = []
    for seed in seeds:
        search = Simulation(
            space, evaluate, fitness, strategy=strategy, seed=seed, fidelity=fidelity
        )
        trials = [t for t in search.simulate(candidates, seconds) if t.state != "running"]
        full = [
            t.score.values[0]
            if t.state == "complete" and t.score and t.score.feasible
            else math.nan
            for t in trials
        ]
        took = np.cumsum([t.seconds or 0.0 for t in trials])
        runs.append(SimulatedRun(seed, np.fmax.accumulate(full), took, search.deciding))
    return runs
