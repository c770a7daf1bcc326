"""The search: propose, evaluate, record, until the study has its candidates."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Literal

from rosearch.checks import instance, number, positive, refused, whole_number
from rosearch.errors import EvaluationError
from rosearch.evolve.kept_students import KeptStudents
from rosearch.evolve.proposals import Proposals, check_initial_genomes
from rosearch.evolve.search_run import SearchRun
from rosearch.evolve.strategies import Strategy, SurrogateEvolution, make
from rosearch.evolve.study.ledger import Ledger
from rosearch.evolve.study.result import SearchResult
from rosearch.evolve.study.settings import describe
from rosearch.evolve.study.trials import Candidate, Failure, TrialRecord
from rosearch.evolve.study.watching import Callback, log_trial
from rosearch.evolve.successive_halving import Fidelity, fidelity_for, rungs_of
from rosearch.evolve.workers.default import default_executor
from rosearch.evolve.workers.evaluation import plain_metrics
from rosearch.fitness import Fitness
from rosearch.owners import ASKED_LEASE_SECONDS
from rosearch.space import Genome, SearchSpace

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

_FORMAT = 1
"""Version of the contents of a study; a study with another format is refused."""


class Evolver:
    """Searches a space of architectures and stores every step in a study.

    It has no state of its own. What it proposes for a trial follows from the seed, the trial's
    number and the trials finished before. So a search that was killed continues as if it had not
    been: with one worker, or with ``overlap``, the genomes and seeds are those of a search that
    never stopped. Several processes may share one study; each may then finish one candidate more
    than asked for.

    The seed of a candidate follows from ``seed`` and the genome's key, not from its number. So a
    genome stands for one training run, in whichever process and order, and after a crash.

    Limits are checked before training if ``evaluate`` has a method ``cost(genome)``: a genome that
    breaks a constraint of the fitness on these figures alone is not proposed. Up to 256 genomes
    are tried for a candidate, first those of the strategy and then samples of the space. If none
    is within the limits, the one with the smallest violation is evaluated. Genomes in
    ``initial_genomes`` are evaluated whatever they cost.

    Successive halving: an evaluation with rungs (``evaluate.rungs`` above 1, as that of a Pipeline
    with ``rungs=``) is called for one rung after the other, and ``fidelity`` decides after each
    whether the candidate goes on. If not, its trial is ``"stopped"``, and pruned for Optuna. A
    killed search continues at the next rung.

    If ``evaluate.inherits`` is true, a candidate inherits weights from the trial whose genome
    shares the most nodes with its own, among those that it may depend on. That trial is recorded,
    so that the student can be trained again. All students are kept until the search is over.

    Args:
        space: Where architectures come from.
        evaluate: A :class:`~rosearch.Pipeline`, or any callable ``evaluate(genome, *, seed)`` that
            returns metrics by name. It must be picklable to be evaluated in other processes.
            Optional attributes: ``settings`` (plain data) become part of the study's settings.
            ``processes`` is how many candidates :meth:`run` evaluates at a time by default.
            ``positions`` are those that a ``space`` with a Teacher counts students with.
            ``check(genome)`` is called before the first training. ``load(genome, *, seed)`` loads a
            student, ``where(genome, *, seed)`` returns its folder, ``discard(genome, *, seed)`` is
            called for each student that is no longer needed, and ``finish(genome, *, seed)`` for
            each candidate that has ended. ``cost(genome)`` returns metrics that are known before
            training, such as parameters, compression and flops: with the same names and values as
            the evaluation's, and a function of the genome only; it is called in this process, many
            times a candidate. With ``rungs``, all but ``cost`` and ``check`` get an argument
            ``rung``, from 0, and with ``inherits`` an argument ``parent``, a
            :class:`~rosearch.evolve.Parent`, if there is one.
        fitness: Objectives and constraints.
        storage: URL of the database, such as ``"sqlite:///search.db"``, or an Optuna storage.
            SQLite loses data on network disks; use ``"journal:////path/of/file"`` or a database
            server there. ``None`` keeps the study in memory.
        study: Name of the study in the storage.
        strategy: Proposes the next genome: a strategy or its registered name, such as ``"nsga2"``,
            for its default settings. Default: ``SurrogateEvolution``.
        population: Candidates that the default strategy samples before it uses its model; ignored
            with ``strategy``.
        initial_genomes: Genomes to evaluate first, such as hand-designed ones.
        seed: Root of all randomness.
        overlap: Maximum number of consecutive candidates that are evaluated at the same time.
            Candidate ``n`` then depends on candidates 0 to ``n - overlap`` and waits for them, so
            the search does not depend on which worker is fastest. ``None`` uses whatever is
            finished: no worker ever waits, but with several workers two runs may differ.
        fidelity: Decides after each rung whether a candidate goes on. Default:
            ``SuccessiveHalving()`` if ``evaluate`` has rungs. With ``overlap`` it only sees trials
            that the candidate may depend on.

    Raises:
        ArgumentError: An argument has the wrong type or is out of range.
        StorageError: The storage cannot be opened.
        StudyMismatchError: The study was made with other settings.
        SpaceError: One of ``initial_genomes`` is not in the space, or occurs twice.
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
        initial_genomes: Sequence[Genome] = (),
        seed: int = 0,
        overlap: int | None = None,
        fidelity: Fidelity | None = None,
    ) -> None:
        if not all(hasattr(space, name) for name in ("sample", "mutate", "crossover", "require")):
            raise refused("space", "a SearchSpace", space)
        positions = getattr(evaluate, "positions", None)
        if positions is not None and isinstance(space, SearchSpace):
            space = space.counting(positions)
        self.space = space
        if not callable(evaluate):
            raise refused("evaluate", "callable as evaluate(genome, *, seed)", evaluate)
        self.evaluate = evaluate
        self.fitness = instance("fitness", fitness, Fitness, "a Fitness")
        if not instance("study", study, str, "a string"):
            raise refused("study", "a non-empty string", study)
        self.overlap = None if overlap is None else whole_number("overlap", overlap)
        if strategy is None:
            strategy = SurrogateEvolution(initial=population)
        self.strategy = make(strategy)
        self.initial_genomes = check_initial_genomes(initial_genomes, space)
        self.seed = whole_number("seed", seed, None)
        self.fidelity = fidelity_for(evaluate, fidelity)
        self._rungs = rungs_of(evaluate)
        self._turn = threading.RLock()
        self._students = KeptStudents(evaluate, fitness)
        self._ledger = Ledger.open(
            storage,
            study,
            settings=self.settings,
            fitness=fitness,
            loader=getattr(evaluate, "load", None),
        )
        self._proposals = Proposals(
            space=space,
            strategy=self.strategy,
            ledger=self._ledger,
            initial_genomes=self.initial_genomes,
            seed=self.seed,
            overlap=self.overlap,
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
            "seeds": [genome.key for genome in self.initial_genomes],
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
        timeout: float | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool = True,
    ) -> SearchResult:
        """Search until the study has ``candidates`` finished ones, including failed ones.

        A candidate that raises, returns NaN, lacks a metric or cannot be scored is recorded as
        failed, and the search goes on. Ctrl-C, or an error of this method, loses nothing that is
        finished: call ``run`` again. Candidates that were running are then evaluated again with the
        same genome and seed.

        Args:
            candidates: Total of the study. If the study has that many, nothing is evaluated.
            executor: A number starts that many processes; ``Client.get_executor()`` of Dask or a
                :class:`~rosearch.RayExecutor` evaluates on a cluster. Any other
                :class:`concurrent.futures.Executor` works too. It is not shut down. ``None``: with
                ``overlap``, up to as many processes as ``evaluate`` asks for by an attribute
                ``processes``: a Pipeline on a CPU asks for one for each core. Otherwise, and where
                other processes cannot be used, this process evaluates one candidate after the
                other.
            workers: Candidates that ``executor`` evaluates at a time, if it does not tell.
            time_limit: Seconds for one candidate. One that takes longer is recorded as failed with
                the kind ``"TimeLimit"``, and its process is killed; candidates of this process are
                then evaluated in a child process.
            timeout: Seconds for this run, as in ``optuna.Study.optimize``: after them no candidate
                and no rung is started, and those that are running are finished. The result has
                what the study has then, and the next run goes on. ``time_limit`` is the limit of a
                candidate.
            callbacks: Called as ``callback(study, trial)`` after each candidate that has ended, in
                this process, with Optuna's ``Study`` and ``FrozenTrial``, so that callbacks made
                for Optuna work. ``study.stop()`` ends the run as ``timeout`` does. An error of a
                callback ends it too, once the candidate is recorded.
            progress: Whether to show progress bars, each after two seconds. ``False`` also silences
                those of training and attacks, in all workers; otherwise the Distiller and the
                RobustnessEvaluator decide on theirs.

        Raises:
            EvaluationError: Three candidates in a row failed with the same error before any had
                succeeded, or ten did later (at one rung, if there are rungs); the evaluation
                cannot be sent to the workers, or their processes die at their start.
            SpaceError: The space has no architecture that the study does not have. Candidates that
                are running are recorded first.
        """
        candidates = whole_number("candidates", candidates)
        if timeout is not None:
            timeout = positive("timeout", timeout)
        for callback in callbacks:
            if not callable(callback):
                raise refused("each of callbacks", "callable as callback(study, trial)", callback)
        ledger = self._ledger
        left = candidates - ledger.finished(candidates)
        if left > 0:
            if executor is None and workers is None:
                # Without overlap, which candidates are proposed would depend on who is faster.
                most = min(left, self.overlap or 1)
                reason = f"overlap={self.overlap}" if left > 1 else "there is only one left"
                executor = default_executor(self.evaluate, most, reason=reason)
            self._students.clean_up(ledger.trials(), search_is_over=False)
            run = SearchRun(
                evaluate=self.evaluate,
                proposals=self._proposals,
                ledger=ledger,
                record=self._record,
                candidates=candidates,
                fitness=self.fitness,
                progress=progress,
                callbacks=callbacks,
                timeout=timeout,
            )
            try:
                run.run(executor, workers=workers, time_limit=time_limit)
            except KeyboardInterrupt:
                kept = "stored" if ledger.is_shared else "in memory until this process ends"
                raise KeyboardInterrupt(
                    f"{ledger.finished(candidates)} of {candidates} candidates of the study "
                    f"{ledger.study!r} are finished and {kept}; call run again to continue."
                ) from None
            is_over = ledger.finished(candidates) == candidates
            self._students.clean_up(ledger.trials(), search_is_over=is_over)
        return self.result

    @property
    def result(self) -> SearchResult:
        """The current state of the study."""
        return self._ledger.result(self.fitness)

    def ask(self) -> Candidate:
        """The next candidate, to evaluate it yourself.

        Call ``evaluate(candidate.genome, **candidate.arguments)`` and pass the outcome to
        :meth:`tell`. A candidate whose process has died, or that goes on to its next rung, comes
        first. A new one is stored as running before this returns. This process holds it for 24
        hours or until it ends. Threads may share an evolver.

        Raises:
            SpaceError: The space has no architecture that the study does not have.
            EvaluationError: With ``overlap``, a candidate that this one waits for is not finished.
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
        """Record the outcome of a candidate.

        Args:
            candidate: A candidate from ``ask``.
            outcome: Its metrics, or the exception that it raised.
            seconds: Duration of the evaluation, if known.

        Returns:
            The trial: failed if the fitness cannot be computed from the metrics, ``"running"`` if
            it goes on to its next rung.

        Raises:
            EvaluationError: The candidate, or this rung of it, is finished already, or it is not of
                this study.
            ArgumentError: ``outcome`` is neither metrics nor an exception, or ``seconds`` is
                negative.
        """
        if not isinstance(outcome, (Mapping, BaseException, Failure)):
            raise refused("outcome", "a mapping of metrics, or an exception", outcome)
        if seconds is not None:
            seconds = number("seconds", seconds, 0.0)
        with self._turn:
            trials = self._ledger.trials()[candidate.number : candidate.number + 1]
            has_rung = candidate.rung is not None
            if has_rung != (self._rungs > 1) or not any(map(candidate.is_of, trials)):
                raise EvaluationError(
                    f"Candidate {candidate.number} with the genome {candidate.genome.key}, the "
                    f"seed {candidate.seed} and rung={candidate.rung} is not of the study "
                    f"{self._ledger.study!r}, which has {self._rungs} rungs. Tell the outcome of a "
                    f"candidate from ask() of this study."
                )
            trial = self._record(candidate, outcome, seconds)
            if trial is None:
                trial = self._ledger.trials()[candidate.number]
                what = f"is {trial.state}" if trial.state != "running" else f"has rung {trial.rung}"
                raise EvaluationError(
                    f"Candidate {candidate.number} {what} already; nothing was recorded."
                )
            if trial.state == "running":
                self._ledger.release(candidate.number)  # for the process that asks next
            return trial

    def _record(
        self,
        candidate: Candidate,
        outcome: Mapping[str, float] | BaseException | Failure,
        seconds: float | None,
    ) -> TrialRecord | None:
        """Record an outcome; ``None`` if another process has recorded one already."""
        trials = self._ledger.trials()
        trial = trials[candidate.number]
        if not candidate.is_of(trial) or candidate.is_settled(trial):
            return None
        if isinstance(outcome, BaseException):
            outcome = Failure.from_exception(outcome)
        if isinstance(outcome, Failure):
            recorded = self._ledger.fail(candidate.number, outcome, seconds)
        else:
            recorded = self._record_metrics(candidate, outcome, seconds, trials)
        if not recorded:
            return None
        trials = self._ledger.trials()
        trial = trials[candidate.number]
        if trial.state != "running":
            log_trial(trial, self.fitness)
            self._students.ended(trial, trials)
        return trial

    def _record_metrics(
        self,
        candidate: Candidate,
        outcome: Mapping[str, float],
        seconds: float | None,
        trials: Sequence[TrialRecord],
    ) -> bool:
        """Score metrics, decide about the next rung, and record both."""
        trial, rung = candidate.number, candidate.rung
        state: Literal["running", "stopped", "complete"] = "complete"
        try:
            metrics = plain_metrics(outcome)
            score = self.fitness.score(metrics)
        except Exception as error:  # noqa: BLE001 - a term may be the user's code
            return self._ledger.fail(trial, Failure.from_exception(error), seconds)
        weights = self._students.where(candidate)
        try:
            if rung is not None and self.fidelity is not None and rung < self._rungs - 1:
                state = "running"  # if the rule raises, the rung is finished all the same
                others = [
                    other.scores[rung]
                    for other in self._proposals.visible_to(trial, trials)
                    if other.number != trial and len(other.scores) > rung
                ]
                if not self.fidelity.goes_on(score, others, rung=rung):
                    state = "stopped"
        finally:
            recorded = self._ledger.record(
                trial, metrics, score, seconds, rung=rung, state=state, weights=weights
            )
        return recorded

    @property
    def _has_limits(self) -> bool:
        """Whether a constraint may be checked before training."""
        return bool(self.fitness.constraints) and hasattr(self.evaluate, "cost")

    def _excess(self, genome: Genome) -> float:
        """By how much ``genome`` breaks the constraints, as far as its cost shows."""
        cost: Callable[[Genome], Mapping[str, float]] = getattr(self.evaluate, "cost")  # noqa: B009
        try:
            return self.fitness.known_violation(plain_metrics(cost(genome)))
        except Exception as error:  # noqa: BLE001 - its evaluation will raise and record the cause
            warnings.warn(
                f"The cost of a genome could not be computed before its training: {error!r}",
                RuntimeWarning,
                stacklevel=2,
            )
            return 0.0
