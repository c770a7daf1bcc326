"""The search: propose, evaluate, record, until the study has its candidates."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from operator import index
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex

from rosearch.errors import EvaluationError
from rosearch.evolve.kept_students import Students
from rosearch.evolve.proposals import Proposals, check_seeds
from rosearch.evolve.runner import Runner
from rosearch.evolve.strategies import Strategy, SurrogateEvolution, make
from rosearch.evolve.strategies.offspring import check_number, check_size
from rosearch.evolve.study.ledger import Ledger
from rosearch.evolve.study.result import SearchResult
from rosearch.evolve.study.settings import describe
from rosearch.evolve.study.trials import Candidate, Failure, TrialRecord
from rosearch.evolve.successive_halving import Fidelity, chosen, rungs_of
from rosearch.evolve.workers.evaluation import plain_metrics
from rosearch.fitness import Fitness, Score
from rosearch.owners import ASKED_LEASE_SECONDS
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
    is not proposed that breaks a constraint of the fitness on those figures alone. Up to 256
    genomes are looked at for a candidate, those of the strategy first and then samples of the
    space. If none is within the limits, the one that violates them least is evaluated. Genomes of
    ``seeds`` are evaluated whatever they cost.

    Cheap before dear: an evaluation with rungs (``evaluate.rungs`` above 1, as that of a Pipeline
    with ``rungs=``) is asked for one rung after the other, and ``fidelity`` decides after each who
    goes on. A trial that does not is ``"stopped"``, and pruned for Optuna. A killed search
    goes on at the next rung.

    If ``evaluate.inherits`` is true, a candidate inherits weights from the trial whose genome
    shares the most of its nodes, among those that it may know; which one is recorded, so that its
    student can be made again. Students stay until the search is over then.

    Args:
        space: Where architectures come from.
        evaluate: A :class:`~rosearch.Pipeline`, or any callable ``evaluate(genome, *, seed)`` that
            returns numbers by name; picklable where there are several processes. If it has
            ``settings`` (plain data), the study is made for them. If it has ``check(genome)``, that
            is called before the first training; ``load(genome, *, seed)`` loads a
            student, ``where(genome, *, seed)`` tells its folder, ``discard(genome, *, seed)`` is
            called for each that is no longer needed, and ``finish(genome, *, seed)`` for each
            candidate that has ended. With ``rungs`` all but ``cost`` and ``check`` are given
            ``rung``, from 0, and with ``inherits`` those that have a parent are given ``parent``, a
            :class:`~rosearch.evolve.Parent`.
            ``cost(genome)``, if there, returns the metrics that are known before training, such
            as parameters, compression and flops: the same keys and numbers as the evaluation's,
            a function of the genome only. It is called in this process, many times a candidate.
        fitness: What is wanted.
        storage: URL of the database, such as ``"sqlite:///search.db"``, or an Optuna storage.
            SQLite loses data on network disks; use ``"journal:////path/of/file"`` or a database
            server there. ``None`` keeps the study in memory.
        study: Name of the study in the storage.
        strategy: Rule for the next genome, or its registered name, such as ``"nsga2"``, for its
            default settings. Default: ``SurrogateEvolution``.
        population: Candidates that the default strategy samples before it asks its model; not used
            with ``strategy``.
        seeds: Genomes to evaluate first, such as hand-designed ones.
        seed: Root of all randomness.
        overlap: How many candidates in a row may be under way at once. Candidate ``n`` is then
            bred from candidates 0 to ``n - overlap`` and waits for them, so the search is the same
            whichever worker is fastest. ``None`` breeds from whatever is finished: no worker
            ever waits, but with several workers two runs may differ.
        fidelity: Rule for who goes on after a rung. Default: ``SuccessiveHalving()`` where
            ``evaluate`` has rungs. With ``overlap`` set it sees only what a candidate may know.
        keep: The students of the best so many stay, and those of the front.

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
        strategy: Strategy | str | None = None,
        population: int = 10,
        seeds: Sequence[Genome] = (),
        seed: int = 0,
        overlap: int | None = None,
        fidelity: Fidelity | None = None,
        keep: int = 1,
    ) -> None:
        if not isinstance(space, SearchSpace):
            raise TypeError(f"Expected a SearchSpace, such as SearchSpace(), got {space!r}.")
        if not callable(evaluate):
            raise TypeError(f"evaluate must be callable as evaluate(genome, *, seed): {evaluate!r}")
        if not isinstance(fitness, Fitness):
            raise TypeError(f"Expected a Fitness, such as Fitness({{'accuracy': 1}}): {fitness!r}")
        if not study or not isinstance(study, str):
            raise ValueError(f"A study needs a non-empty string as its name, got {study!r}.")
        if overlap is not None:
            overlap = check_size("overlap, if it is not None,", overlap, 1)
        self.space = space
        self.evaluate = evaluate
        self.fitness = fitness
        if strategy is None:
            strategy = SurrogateEvolution(initial=population)
        self.strategy = make(strategy)
        self.seeds = check_seeds(seeds, space)
        if isinstance(seed, bool) or not isinstance(seed, SupportsIndex):
            raise ValueError(f"seed is a whole number, got {seed!r}.")
        self.seed = index(seed)
        self.overlap = overlap
        self.fidelity = chosen(fidelity, evaluate)
        self._rungs = rungs_of(evaluate)
        self._turn = threading.RLock()
        self._students = Students(evaluate, fitness, keep=keep)
        self._ledger = self._open_ledger(storage, study)
        self._kept = "in memory, for as long as this process lives" if storage is None else "stored"
        self._proposals = Proposals(
            space,
            self.strategy,
            self._ledger,
            seeds=self.seeds,
            seed=self.seed,
            overlap=overlap,
            excess=self._excess if self._has_limits else None,
            rungs=self._rungs,
            inherits=self._students.inherits,
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
        if self._has_limits:
            data["limits"] = "before training"
        if self.fidelity is not None:
            data["fidelity"] = {**self.fidelity.settings, "rungs": self._rungs}
        if self._students.inherits:
            data["inherits"] = True
        return data

    def run(
        self,
        candidates: int = 64,
        *,
        executor: Executor | int | None = None,
        workers: int | None = None,
        time_limit: float | None = None,
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
                many processes; ``Client.get_executor()`` of Dask or a
                :class:`~rosearch.RayExecutor` evaluates on a cluster; any other
                :class:`concurrent.futures.Executor` will do. It stays yours.
            workers: Candidates that ``executor`` evaluates at a time, where it does not tell.
            time_limit: Seconds for one candidate. One that takes longer is recorded as failed with
                the kind ``"TimeLimit"``, and the process that evaluates it is ended, also where
                ``executor`` is ``None``: each is then evaluated in a child process.
            progress: Whether to show a bar after two seconds. Those of a Pipeline's training and
                attacks are the Distiller's and the RobustnessEvaluator's.

        Raises:
            EvaluationError: Three candidates in a row failed with the same error before any had
                succeeded, or ten did later (at one rung, where there are rungs); the evaluation
                cannot be sent to the workers, or their processes die at their start.
            SpaceError: The space has no architecture that the study does not have. What was under
                way is recorded first.
        """
        candidates = check_size("candidates", candidates, 1)
        if sum(t.state != "running" for t in self._ledger.trials()[:candidates]) < candidates:
            self._students.tidy(self._ledger.trials(), search_is_over=False)
            runner = Runner(self.evaluate, self._proposals, self._ledger, self._record)
            try:
                runner.run(
                    candidates,
                    executor=executor,
                    workers=workers,
                    time_limit=time_limit,
                    progress=progress,
                )
            except KeyboardInterrupt:
                done = sum(t.state != "running" for t in self._ledger.seen()[:candidates])
                raise KeyboardInterrupt(
                    f"{done} of {candidates} candidates of the study {self._ledger.study!r} are "
                    f"finished and {self._kept}; call run again to go on."
                ) from None
            self._students.tidy(self._ledger.trials(), search_is_over=True)
        return self.result

    @property
    def result(self) -> SearchResult:
        """The study as it is now."""
        return SearchResult.from_trials(
            self._ledger.study,
            self._ledger.trials(),
            self.fitness,
            settings=self._ledger.settings,
            versions=self._ledger.versions,
        )

    @property
    def best(self) -> TrialRecord:
        """The best candidate so far; see :attr:`SearchResult.best`."""
        return self.result.best

    def ask(self) -> Candidate:
        """The next candidate to evaluate, for those who run the evaluation themselves.

        Threads may share an evolver for ``ask`` and ``tell``, which take turns.

        A candidate whose process has died, or that goes on to its next rung, comes first: call
        ``evaluate(candidate.genome, **candidate.arguments)``. A new one is stored as running before
        this returns, and belongs to this process for 24 hours or until it ends.

        Raises:
            SpaceError: The space has no architecture that the study does not have.
            EvaluationError: With ``overlap`` set, a candidate that this one waits for is not
                finished.
        """
        with self._turn:
            candidate = self._proposals.take_up(ASKED_LEASE_SECONDS, own=False)
            candidate = candidate or self._proposals.propose(ASKED_LEASE_SECONDS)
        if candidate is None:
            raise EvaluationError(
                f"The next candidate waits until those up to overlap={self.overlap} before it "
                f"are finished. Tell their outcome first."
            )
        return candidate

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
            raises; ``"running"`` where it goes on to its next rung.

        Raises:
            EvaluationError: The candidate, or this rung of it, is finished already, or it is not of
                this study.
            TypeError: ``outcome`` is neither metrics nor an exception.
            ValueError: ``seconds`` is no finite number of at least 0.
        """
        given: Any = outcome
        if not isinstance(given, (Mapping, BaseException, Failure)):
            raise TypeError(
                f"The outcome of candidate {candidate.number} is its metrics, numbers by name, or "
                f"the exception that ended it; got {outcome!r}."
            )
        if seconds is not None:
            seconds = check_number("seconds", seconds, 0.0)
        with self._turn:
            return self._told(candidate, outcome, seconds)

    def _told(
        self,
        candidate: Candidate,
        outcome: Mapping[str, float] | BaseException | Failure,
        seconds: float | None,
    ) -> TrialRecord:
        if (candidate.rung is None) != (self.fidelity is None):
            raise EvaluationError(
                f"Candidate {candidate.number} has rung={candidate.rung}, and the study has "
                f"{self._rungs} rungs. Tell what ask() gave."
            )
        # A rule of fidelity compares with all that there is; else the write shows what is new.
        trials = self._ledger.seen() if self.fidelity is None else self._ledger.trials()
        if not _has(trials, candidate):
            trials = self._ledger.trials()
        if not _has(trials, candidate):
            raise EvaluationError(
                f"Candidate {candidate.number} with the genome {candidate.genome.key} and the seed "
                f"{candidate.seed} is not of the study {self._ledger.study!r}. Tell what ask() of "
                f"this study gave."
            )
        trial = self._record(candidate, outcome, seconds, trials)
        if trial is None:
            trial = self._ledger.trials()[candidate.number]
            what = f"is {trial.state}" if trial.state != "running" else f"has rung {trial.rung}"
            raise EvaluationError(
                f"Candidate {candidate.number} {what} already; nothing was recorded."
            )
        if trial.state == "running":
            self._ledger.release(candidate.number)  # for whoever asks next
        return trial

    def _record(
        self,
        candidate: Candidate,
        outcome: Mapping[str, float] | BaseException | Failure,
        seconds: float | None,
        trials: Sequence[TrialRecord] | None = None,
    ) -> TrialRecord | None:
        """As :meth:`tell`; ``None`` where another process was faster, and nothing was recorded."""
        trials = trials or self._ledger.trials()
        trial = trials[candidate.number]
        recorded = candidate.is_of(trial) and not candidate.is_settled(trial)
        self._students.learn(trials)
        if isinstance(outcome, BaseException):
            outcome = Failure.from_exception(outcome)
        if recorded and not isinstance(outcome, Failure):
            try:
                metrics = plain_metrics(outcome)
                score = self.fitness.score(metrics)
            except Exception as error:  # noqa: BLE001 - a term is anyone's code
                outcome = Failure.from_exception(error)
            else:
                recorded = self._evaluated(candidate, metrics, score, seconds, trials)
        if recorded and isinstance(outcome, Failure):
            recorded = self._ledger.fail(candidate.number, outcome, seconds)
        if not recorded:
            return None
        trials = self._ledger.trials()
        trial = trials[candidate.number]
        if trial.state != "running":
            self._students.ended(trial, trials)
        return trial

    def _evaluated(
        self,
        candidate: Candidate,
        metrics: Mapping[str, float],
        score: Score,
        seconds: float | None,
        trials: Sequence[TrialRecord],
    ) -> bool:
        """Record what a candidate came to, and what follows from it; whether it was recorded."""
        number, rung, weights = candidate.number, candidate.rung, self._students.where(candidate)
        if rung is None or self.fidelity is None:
            return self._ledger.complete(number, metrics, score, seconds, weights=weights)
        state: Literal["running", "stopped", "complete"] = "complete"
        if rung < self._rungs - 1:
            known = [t for t in self._proposals.known_to(number, trials) if t.number != number]
            others = [t.scores[rung] for t in known if len(t.scores) > rung]
            try:
                state = "running" if self.fidelity.goes_on(score, others, rung=rung) else "stopped"
            except BaseException:  # a rule of one's own; the rung is finished all the same
                self._ledger.rung(
                    number, rung, metrics, score, seconds, state="running", weights=weights
                )
                raise
        return self._ledger.rung(
            number, rung, metrics, score, seconds, state=state, weights=weights
        )

    def _open_ledger(self, storage: str | BaseStorage | None, study: str) -> Ledger:
        return Ledger(
            storage,
            study,
            settings=self.settings,
            directions=self.fitness.directions,
            objectives=self.fitness.names,
            constrained=bool(self.fitness.constraints),
            loader=getattr(self.evaluate, "load", None),
        )

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

    def __repr__(self) -> str:
        return f"Evolver({self._ledger.study!r}, {self.fitness!r}, {self.strategy!r})"


def _has(trials: Sequence[TrialRecord], candidate: Candidate) -> bool:
    return candidate.number < len(trials) and candidate.is_of(trials[candidate.number])
