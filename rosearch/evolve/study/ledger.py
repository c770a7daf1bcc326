"""The state of a search: an Optuna study.

A candidate is a trial. Its user attributes, readable in Optuna's dashboard, are ``genome``,
``key``, ``seed``, ``parent`` (the trial whose weights it inherits), ``owner``, ``descriptors``,
``versions`` (of the packages of the process that proposed it), and after the evaluation
``seconds`` and either ``metrics``, ``weights`` and ``score`` or ``failure``. In a storage that
others can open, each finite metric is also a number of its own, such as ``metric_accuracy``, which
Optuna's dashboard plots; rosearch never reads it. Its values are the
objectives of the fitness; its parameters are descriptors, see
:mod:`rosearch.evolve.study.trial_parameters`. A trial is stored with its genome and seed in one
step, before its evaluation starts. With fidelity each finished rung is one attribute, ``rung_0``
and so on, and an intermediate value, the first objective; a trial that is stopped below the last
rung is pruned in Optuna's terms. The last attribute of an outcome is written only when all others
are, so an outcome that a killed process left without its change of state is whole, see
:meth:`Ledger.settle`.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

import optuna
from optuna.exceptions import DuplicatedStudyError, StorageInternalError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from rosearch.differences import differences
from rosearch.errors import GenomeError, StorageError, StudyMismatchError
from rosearch.evolve.study import trial_attributes as attributes
from rosearch.evolve.study.result import SearchResult
from rosearch.evolve.study.settings import plain
from rosearch.evolve.study.storage import open_storage, quiet_optuna, root_cause
from rosearch.evolve.study.trial_parameters import distributions, parameters
from rosearch.evolve.study.trials import Candidate, Failure, Parent, TrialRecord
from rosearch.evolve.study.watching import WatchedStudy
from rosearch.fitness import Fitness, Score
from rosearch.owners import Owner, describe_owner
from rosearch.space.descriptors import descriptors
from rosearch.versions import versions

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

_TRIES = 3
"""Attempts to write an outcome, which is expensive to lose."""
_TAKE_OVER_SECONDS = 0.1
"""How long to wait for other processes that take over the same trial."""
_MAX_DIFFERENCES = 20
"""Settings that a message shows."""
_SETTINGS = "rosearch.settings"
_VERSIONS = "rosearch.versions"
_LAST_OPENED = "rosearch.last_opened_with"
_METRIC_NAMES = "study:metric_names"
"""Where Optuna keeps the names given to Study.set_metric_names."""
_CONSTRAINTS = "constraints"
"""Where Optuna keeps the constraints of a trial."""


class Ledger:
    """The trials of one study; made by :meth:`open` or :meth:`existing`.

    Args:
        storage: The Optuna storage.
        study: The name of a study in it.
        is_shared: Whether other processes may use the storage.
        constrained: Whether trials can be infeasible, which Optuna is then told.
        loader: Loads a kept student; passed to the records.
    """

    def __init__(
        self,
        storage: BaseStorage,
        study: str,
        *,
        is_shared: bool = True,
        constrained: bool = False,
        loader: Callable[..., Any] | None = None,
    ) -> None:
        self.study = study
        self.is_shared = is_shared
        self.owner = Owner.this_process()
        self._storage = storage
        self._id = int(storage.get_study_id_from_name(study))
        self._constrained = constrained
        self._loader = loader
        self._finished: dict[int, TrialRecord] = {}
        stored = storage.get_study_user_attrs(self._id)
        if _SETTINGS not in stored:
            raise StorageError(f"rosearch did not make the study {study!r}.")
        self.settings: dict[str, Any] = stored[_SETTINGS]
        """What the study was made with."""
        self.versions: dict[str, str] = stored.get(_VERSIONS, {})
        """Versions of Python and packages that the study was made with."""
        self._ranges = distributions(self.settings.get("space", {}))

    @classmethod
    def open(
        cls,
        storage: str | BaseStorage | None,
        study: str,
        *,
        settings: Mapping[str, Any],
        fitness: Fitness,
        loader: Callable[..., Any] | None = None,
    ) -> Ledger:
        """The ledger of a study, which is created if it does not exist.

        Args:
            storage: URL, Optuna storage, or ``None`` for memory.
            study: The study's name.
            settings: Everything that the sequence of trials depends on, as plain data.
            fitness: Its objectives become those of the Optuna study.
            loader: Loads a kept student.

        Raises:
            StorageError: The storage cannot be opened or written, or the study is not rosearch's.
            StudyMismatchError: The study was made with other settings; the message names them.
        """
        wanted = plain(settings)
        opened = open_storage(storage)
        try:
            with quiet_optuna():
                _create_study(opened, study, wanted, fitness)
                is_shared, constrained = storage is not None, bool(fitness.constraints)
                return cls(
                    opened, study, is_shared=is_shared, constrained=constrained, loader=loader
                )
        except StorageError:
            raise
        except Exception as error:
            raise StorageError(
                f"The storage can be opened, but the study {study!r} cannot be read or written "
                f"there: {root_cause(error)}. Check that the database is writable."
            ) from error

    @classmethod
    def existing(cls, storage: BaseStorage, study: str | None) -> Ledger:
        """The ledger of an existing study, whatever its settings; nothing is written.

        Args:
            storage: The Optuna storage.
            study: The study's name; ``None`` if the storage has only one.

        Raises:
            StorageError: The storage has no such study, or the study is not rosearch's.
        """
        with quiet_optuna():
            names = [found.study_name for found in storage.get_all_studies()]
        if study is None and len(names) == 1:
            study = names[0]
        if study is None or study not in names:
            problem = "no name was given" if study is None else f"there is no study {study!r}"
            available = ", ".join(map(repr, sorted(names))) or "none"
            raise StorageError(f"Expected the name of a study; {problem}. Studies: {available}.")
        return cls(storage, study)

    def trials(self) -> tuple[TrialRecord, ...]:
        """All trials in order of their numbers."""
        frozen = self._storage.get_all_trials(self._id, deepcopy=False)
        return tuple(self._read(trial) for trial in sorted(frozen, key=attrgetter("number")))

    def result(self, fitness: Fitness) -> SearchResult:
        """The current state of the study."""
        return SearchResult.from_trials(
            self.study, self.trials(), fitness, settings=self.settings, versions=self.versions
        )

    def optuna_study(self) -> WatchedStudy:
        """The study as an object of Optuna."""
        return WatchedStudy(self.study, self._storage)

    def optuna_trial(self, number: int) -> FrozenTrial:
        """A copy of a trial as an object of Optuna."""
        return copy.deepcopy(self._trial(number))

    def finished(self, candidates: int) -> int:
        """How many of the first ``candidates`` trials are finished."""
        return sum(trial.state != "running" for trial in self.trials()[:candidates])

    def add(self, candidate: Candidate, lease: float) -> int:
        """Store a new running trial that this process holds, and return its number.

        Args:
            candidate: The candidate, with the number that the trial should have. It gets a higher
                one if another process adds a trial at the same moment, and then needs
                :meth:`reassign`.
            lease: Seconds for which this process holds the trial.
        """
        user_attributes = attributes.identity(candidate)
        user_attributes |= {"owner": self.owner.leased(lease), "versions": versions()}
        values: dict[str, Any] = {}
        if self.is_shared:  # Optuna's tools cannot read a study in memory
            described = descriptors(candidate.genome)
            user_attributes["descriptors"] = described
            values = parameters(candidate.genome, described, self._ranges)
        template = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params=values,
            distributions={name: self._ranges[name] for name in values},
            user_attrs=user_attributes,
        )
        try:
            trial_id = self._storage.create_new_trial(self._id, template_trial=template)
        except StorageInternalError as error:
            raise self._unwritable(error) from error
        return int(self._storage.get_trial_number_from_id(trial_id))

    def reassign(self, candidate: Candidate) -> None:
        """Give the running trial with the number of ``candidate`` its genome and parent.

        Needed when another process added a trial at the same moment, so that the number is higher
        than the one that the genome was proposed for. The descriptors change too, but Optuna's
        parameters cannot be changed: they stay those of the first genome.
        """
        described = {"descriptors": descriptors(candidate.genome)} if self.is_shared else {}
        self._set(candidate.number, described | attributes.identity(candidate))

    def judge(self, number: int) -> Literal["mine", "alive", "gone"]:
        """Whether this process, another running one or no running process holds a trial."""
        return self.owner.judge(self._trial(number).user_attrs.get("owner"))

    def owner_of(self, number: int) -> str:
        """The process that holds a running trial and the end of its lease, for a message."""
        return describe_owner(self._trial(number).user_attrs.get("owner"))

    def lease(self, number: int, seconds: float) -> None:
        """Hold a running trial for ``seconds`` from now."""
        self._set(number, {"owner": self.owner.leased(seconds)})

    def take_over(self, number: int, seconds: float) -> bool:
        """Lease a running trial that no running process holds.

        Of several processes that try at once, the last one gets the trial. If two believe that they
        have it, because one was suspended in between, both evaluate it and the first outcome
        counts.

        Returns:
            Whether this process has it.
        """
        self.lease(number, seconds)
        if self.is_shared:
            time.sleep(_TAKE_OVER_SECONDS)
        return self.judge(number) == "mine"

    def release(self, number: int) -> None:
        """End the lease of a running trial, so that any process can take it over."""
        self._set(number, {"owner": None})

    def settle(self, number: int) -> bool:
        """Finish a trial whose process was killed after it had written the whole outcome.

        Returns:
            Whether the trial is finished now.
        """
        trial = self._trial(number)
        rungs = attributes.finished_rungs(trial)
        if "failure" in trial.user_attrs:
            self._change(number, lambda: self._finish(number, TrialState.FAIL, None))
        elif "score" in trial.user_attrs and not rungs:
            score = trial.user_attrs["score"]
            self._change(number, lambda: self._finish(number, TrialState.COMPLETE, score))
        elif rungs and rungs[-1]["state"] != "running":
            self._change(number, lambda: self._end(number, rungs))
        return self._trial(number).state.is_finished()

    def record(
        self,
        number: int,
        metrics: Mapping[str, float],
        score: Score,
        seconds: float | None,
        *,
        rung: int | None = None,
        state: Literal["running", "stopped", "complete"] = "complete",
        weights: str | None = None,
    ) -> bool:
        """Record the metrics of an evaluation.

        Args:
            number: The trial's number.
            metrics: Metrics by name.
            score: Their fitness.
            seconds: Duration of the evaluation (of this rung), if known.
            rung: The rung, from 0; ``None`` for an evaluation without rungs.
            state: ``"running"`` if the trial goes on to the next rung.
            weights: Folder of the student.

        Returns:
            Whether it was recorded; false if another process has recorded the trial or this rung.
        """
        rungs = attributes.finished_rungs(self._trial(number))
        if rung is not None and len(rungs) > rung:
            return False
        outcome = {
            "metrics": dict(metrics),
            "score": score.to_dict(),
            "seconds": seconds,
            "state": state,
            "weights": weights,
        }

        def change() -> None:
            if rung is not None:
                trial_id = self._trial_id(number)
                self._storage.set_trial_intermediate_value(trial_id, rung, score.values[0])
                # One attribute, so that a killed process leaves the whole rung or nothing.
                self._write(number, {f"rung_{rung}": outcome})
            if state != "running":
                self._end(number, [*rungs, outcome])

        return self._change(number, change)

    def fail(self, number: int, failure: Failure, seconds: float | None) -> bool:
        """Record why an evaluation failed; returns what :meth:`record` does."""
        before = [rung["seconds"] for rung in attributes.finished_rungs(self._trial(number))]
        total = attributes.total([*before, seconds])

        def change() -> None:
            self._write(number, {"seconds": total, "failure": vars(failure).copy()})
            self._finish(number, TrialState.FAIL, None)

        return self._change(number, change)

    def _read(self, trial: FrozenTrial) -> TrialRecord:
        known = self._finished.get(trial.number)
        if known is not None:
            return known
        try:
            parent = self._parent(trial.user_attrs.get("parent"))
            record = attributes.record(trial, parent, self._loader)
        except (KeyError, TypeError, GenomeError) as error:
            raise StorageError(
                f"Trial {trial.number} of the study {self.study!r} cannot be read "
                f"({type(error).__name__}: {error}). Did another program change it, or does it "
                f"use an operator of a package that is not installed?"
            ) from error
        if record.state != "running":
            self._finished[trial.number] = record
        return record

    def _parent(self, number: int | None) -> Parent | None:
        return None if number is None else self._read(self._trial(number)).as_parent()

    def _trial_id(self, number: int) -> int:
        return int(self._storage.get_trial_id_from_study_id_trial_number(self._id, number))

    def _trial(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._trial_id(number))

    def _set(self, number: int, values: Mapping[str, Any]) -> None:
        self._change(number, lambda: self._write(number, values))

    def _write(self, number: int, values: Mapping[str, Any]) -> None:
        trial_id = self._trial_id(number)
        for key, value in values.items():
            self._storage.set_trial_user_attr(trial_id, key, value)

    def _finish(self, number: int, state: TrialState, score: Mapping[str, Any] | None) -> None:
        trial_id = self._trial_id(number)
        if self._constrained and score is not None:
            # Also where it is 0: Optuna 4.0 takes a trial without constraints for infeasible.
            self._storage.set_trial_system_attr(trial_id, _CONSTRAINTS, [score["violation"]])
        values = None if score is None else score["values"]
        self._storage.set_trial_state_values(trial_id, state, values)

    def _end(self, number: int, rungs: Sequence[Mapping[str, Any]]) -> None:
        """Finish a trial as its last rung says."""
        last = rungs[-1]
        state = TrialState.COMPLETE if last["state"] == "complete" else TrialState.PRUNED
        shown = attributes.numbers(last["metrics"]) if self.is_shared else {}
        self._write(number, shown | attributes.ending(rungs))
        self._finish(number, state, last["score"])

    def _change(self, number: int, change: Callable[[], None]) -> bool:
        """Write to a trial; returns false if another process has finished it.

        Raises:
            StorageError: The storage cannot be written.
        """
        for left in reversed(range(_TRIES)):
            try:
                change()
                break
            except StorageInternalError as error:
                if not left:
                    raise self._unwritable(error) from error
                time.sleep(1.0)
            except RuntimeError:  # what Optuna raises for a finished trial
                if self._trial(number).state.is_finished():
                    return False
                raise
        return True

    def _unwritable(self, error: StorageInternalError) -> StorageError:
        return StorageError(
            f"The study {self.study!r} could not be written: {root_cause(error)}. Does another "
            f"program hold the database's lock, is the disk full or the server unreachable? What "
            f"is recorded is kept; call run again."
        )


def _create_study(
    storage: BaseStorage, study: str, settings: dict[str, Any], fitness: Fitness
) -> None:
    """Create a study with these settings, or check that the existing one has them."""
    try:
        ways = [StudyDirection[direction.upper()] for direction in fitness.directions]
        study_id = int(storage.create_new_study(ways, study))
    except DuplicatedStudyError:
        study_id = int(storage.get_study_id_from_name(study))
    stored = storage.get_study_user_attrs(study_id).get(_SETTINGS)
    if stored is None:
        if storage.get_all_trials(study_id, deepcopy=False):
            raise StorageError(
                f"The study {study!r} has trials that rosearch did not make. Choose another name "
                f"with study=."
            )
        # New, or the process that created it was killed before this line.
        storage.set_study_user_attr(study_id, _SETTINGS, settings)
        storage.set_study_user_attr(study_id, _VERSIONS, versions())
        stored = storage.get_study_user_attrs(study_id)[_SETTINGS]
    lines = list(differences(stored, settings))
    if len(lines) > _MAX_DIFFERENCES:
        lines[_MAX_DIFFERENCES:] = [f"and {len(lines) - _MAX_DIFFERENCES} more"]
    if lines:
        different = "\n".join(f"  {line}" for line in lines)
        raise StudyMismatchError(
            f"The study {study!r} was made with other settings:\n{different}\nUse the settings of "
            f"the study to continue it, or another name with study= to start a new one."
        )
    # Shows before any training that the storage can be written.
    storage.set_study_user_attr(study_id, _LAST_OPENED, versions())
    storage.set_study_system_attr(study_id, _METRIC_NAMES, list(fitness.names))
