"""The search: propose, evaluate, record, until the study has its candidates."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from rosearch.errors import EvaluationError
from rosearch.evolve.executors import plain_metrics
from rosearch.evolve.ledger import Ledger
from rosearch.evolve.ownership import ASKED_LEASE_SECONDS
from rosearch.evolve.proposals import Proposals, check_seeds
from rosearch.evolve.records import Candidate, Failure, TrialRecord
from rosearch.evolve.result import SearchResult
from rosearch.evolve.runner import Runner
from rosearch.evolve.settings import describe
from rosearch.evolve.strategies import RegularizedEvolution, Strategy
from rosearch.fitness import Fitness
from rosearch.space import Genome, SearchSpace

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

_FORMAT = 1
"""Version of what a study holds; a study of another format is refused."""


class Evolver:
    """Searches a space of architectures for the fittest, and keeps every step in a study.

    It holds no state of its own. What it proposes for a trial follows from the seed, the trial's
    number and the trials finished before, so a search that was killed goes on as if it had not
    been: with one worker, or with ``overlap`` set, the genomes and seeds are those of a search
    that never stopped. Several processes may share one study; each may then finish one candidate
    more than asked for.

    The seed of a candidate follows from ``seed`` and the genome's key, not from its number: a
    genome means one training run, whoever runs it, in whichever order, and again after a crash.

    Limits hold before training where ``evaluate`` can tell: if it has ``cost(genome)``, a genome
    is not proposed that breaks a constraint of the fitness on those figures alone. The strategy
    is asked again, up to 64 times for a candidate, with the same generator moved on; so the
    sequence stays the same after a kill. If none is within the limits, the one that
    violates them least is evaluated. Genomes of ``seeds`` are evaluated whatever they cost.

    Args:
        space: Where architectures come from.
        evaluate: A :class:`~rosearch.Pipeline`, or any callable ``evaluate(genome, *, seed)`` that
            returns numbers by name; picklable where there are several processes. If it has
            ``settings`` (plain data), the study is made for them. If it has ``check(genome)``, that
            is called before the first training; ``load(genome, *, seed)`` loads a
            student, and ``discard(genome, *, seed)`` is called for each that is no longer needed.
            ``cost(genome)``, if there, returns the metrics that are known before training, such
            as parameters, compression and flops: the same keys and numbers as the evaluation's,
            a function of the genome only. It is called in this process, many times a candidate.
        fitness: What is wanted.
        storage: URL of the database, such as ``"sqlite:///search.db"``, or an Optuna storage.
            SQLite loses data on network disks; use ``"journal:///path/of/file"`` or a database
            server there. ``None`` keeps the study in memory.
        study: Name of the study in the storage.
        strategy: Rule for the next genome. Default: ``RegularizedEvolution``.
        population: Population of the default strategy; not used with ``strategy``.
        seeds: Genomes to evaluate first, such as hand-designed ones.
        seed: Root of all randomness.
        overlap: How many candidates in a row may be under way at once. Candidate ``n`` is then
            bred from candidates 0 to ``n - overlap`` and waits for them, so the search is the same
            whichever worker is fastest. ``None`` breeds from whatever is finished: no worker
            ever waits, but with several workers two runs may differ.

    Raises:
        StorageError: The storage cannot be opened.
        StudyMismatchError: The study was made with other settings.
        SpaceError: A genome of ``seeds`` is not in the space, or is there twice.
    """

    def __init__(
        self,
        space: SearchSpace,
        evaluate: Callable[..., Mapping[str, float]],
        fitness: Fitness,
        *,
        storage: str | BaseStorage | None = None,
        study: str = "rosearch",
        strategy: Strategy | None = None,
        population: int = 16,
        seeds: Sequence[Genome] = (),
        seed: int = 0,
        overlap: int | None = None,
    ) -> None:
        if not callable(evaluate):
            raise TypeError(f"evaluate must be callable as evaluate(genome, *, seed): {evaluate!r}")
        if not isinstance(fitness, Fitness):
            raise TypeError(f"Expected a Fitness, such as Fitness({{'accuracy': 1}}): {fitness!r}")
        if not study or not isinstance(study, str):
            raise ValueError(f"A study needs a non-empty string as its name, got {study!r}.")
        if overlap is not None and overlap < 1:
            raise ValueError(f"overlap is a number of at least 1, or None; got {overlap!r}.")
        self.space = space
        self.evaluate = evaluate
        self.fitness = fitness
        self.strategy = strategy or RegularizedEvolution(
            population=population, tournament=min(4, population)
        )
        self.seeds = check_seeds(seeds, space)
        self.seed = int(seed)
        self.overlap = overlap
        self._ledger = Ledger(
            storage,
            study,
            settings=self.settings,
            directions=fitness.directions,
            loader=getattr(evaluate, "load", None),
        )
        self._proposals = Proposals(
            space,
            self.strategy,
            self._ledger,
            seeds=self.seeds,
            seed=self.seed,
            overlap=overlap,
            excess=self._excess if self._has_limits else None,
        )

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that the sequence of candidates and scores depends on."""
        data = {
            "format": _FORMAT,
            "space": self.space.settings,
            "evaluate": describe(self.evaluate),
            "fitness": self.fitness.settings,
            "strategy": self.strategy.settings,
            "seeds": [genome.key for genome in self.seeds],
            "seed": self.seed,
            "overlap": self.overlap,
        }
        return data | {"limits": "before training"} if self._has_limits else data

    def run(
        self,
        candidates: int = 64,
        *,
        executor: Executor | int | None = None,
        workers: int | None = None,
        progress: bool = True,
    ) -> SearchResult:
        """Search until the study has ``candidates`` finished ones, failed ones counted.

        A candidate that raises, gives NaN, lacks a metric or cannot be scored is recorded as
        failed, and the search goes on. Ctrl-C, or an error of this method, loses nothing that is
        finished: call ``run`` again. What was under way is then evaluated anew with the same
        genome and seed.

        Args:
            candidates: Total of the study. If the study has that many, nothing is evaluated.
            executor: ``None`` evaluates here, one after the other; a number makes a pool of so
                many processes; or any :class:`concurrent.futures.Executor`, which stays yours.
            workers: Candidates that ``executor`` evaluates at a time, where it does not tell.
            progress: Whether to show a bar after two seconds.

        Raises:
            EvaluationError: The first three candidates failed with the same error.
            SpaceError: The space has no architecture that the study does not have. What was under
                way is recorded first.
        """
        if candidates < 1:
            raise ValueError(f"candidates is a number of at least 1, got {candidates!r}.")
        if sum(t.state != "running" for t in self._ledger.trials()[:candidates]) < candidates:
            self._discard_leftovers()
            runner = Runner(self.evaluate, self._proposals, self._ledger, self.tell)
            runner.run(candidates, executor=executor, workers=workers, progress=progress)
        return self.result

    @property
    def result(self) -> SearchResult:
        """The study as it is now."""
        return SearchResult.from_trials(self._ledger.study, self._ledger.trials(), self.fitness)

    @property
    def best(self) -> TrialRecord:
        """The best candidate so far; see :attr:`SearchResult.best`."""
        return self.result.best

    def ask(self) -> Candidate:
        """The next candidate to evaluate, for those who run the evaluation themselves.

        A candidate whose process has died comes first. The new one is stored as running before
        this returns, and belongs to this process for 24 hours or until it ends.

        Raises:
            SpaceError: The space has no architecture that the study does not have.
            EvaluationError: With ``overlap`` set, a candidate that this one waits for is not
                finished.
        """
        candidate = self._proposals.take_up(ASKED_LEASE_SECONDS, own=False)
        return candidate or self._proposals.propose(ASKED_LEASE_SECONDS)

    def tell(
        self,
        candidate: Candidate,
        outcome: Mapping[str, float] | BaseException | Failure,
        *,
        seconds: float | None = None,
    ) -> TrialRecord:
        """Record what became of a candidate.

        Args:
            candidate: What ``ask`` gave.
            outcome: Its metrics, or the exception that ended it.
            seconds: Time that the evaluation took, if known.

        Returns:
            The trial; failed where the metrics are not what the fitness needs, or a term of it
            raises.

        Raises:
            EvaluationError: The candidate is finished already.
        """
        before = self._kept()
        if isinstance(outcome, BaseException):
            outcome = Failure.from_exception(outcome)
        if not isinstance(outcome, Failure):
            try:
                metrics = plain_metrics(outcome)
                score = self.fitness.score(metrics)
            except Exception as error:  # noqa: BLE001 - a term is anyone's code
                outcome = Failure.from_exception(error)
            else:
                recorded = self._ledger.complete(candidate.number, metrics, score, seconds)
        if isinstance(outcome, Failure):
            recorded = self._ledger.fail(candidate.number, outcome, seconds)
        trial = self._ledger.trials()[candidate.number]
        if not recorded:
            raise EvaluationError(
                f"Candidate {candidate.number} is {trial.state} already; nothing was recorded."
            )
        kept = self._kept()
        self._discard([t for n, t in (before | {trial.number: trial}).items() if n not in kept])
        return trial

    @property
    def _has_limits(self) -> bool:
        """Whether a constraint may be checked before training."""
        return bool(self.fitness.constraints) and hasattr(self.evaluate, "cost")

    def _excess(self, genome: Genome) -> float:
        """How far ``genome`` breaks the constraints, as far as its cost tells."""
        cost: Callable[[Genome], Mapping[str, float]] = getattr(self.evaluate, "cost")  # noqa: B009
        try:
            return self.fitness.known_violation(plain_metrics(cost(genome)))
        except Exception as error:  # noqa: BLE001 - its evaluation will show and record the cause
            warnings.warn(
                f"The cost of a genome is not known before its training: {error!r}",
                RuntimeWarning,
                stacklevel=2,
            )
            return 0.0

    def _discard_leftovers(self) -> None:
        """Drop students that a run killed at the wrong moment has left behind."""
        kept = self._kept()
        finished = [t for t in self._ledger.trials() if t.state != "running"]
        self._discard([t for t in finished if t.number not in kept])

    def _kept(self) -> dict[int, TrialRecord]:
        """Trials whose students are wanted: the front and the best."""
        if not hasattr(self.evaluate, "discard"):
            return {}
        result = self.result
        kept = {trial.number: trial for trial in result.front}
        if any(trial.state == "complete" for trial in result.trials):
            kept[result.best.number] = result.best
        return kept

    def _discard(self, trials: Sequence[TrialRecord]) -> None:
        discard = getattr(self.evaluate, "discard", None)
        if discard is None:
            return
        try:
            for trial in trials:
                discard(trial.genome, seed=trial.seed)
        except Exception as error:  # noqa: BLE001 - housekeeping must not end a search
            warnings.warn(
                f"A student that is no longer needed could not be discarded: {error!r}",
                RuntimeWarning,
                stacklevel=2,
            )

    def __repr__(self) -> str:
        return f"Evolver({self._ledger.study!r}, {self.fitness!r}, {self.strategy!r})"
