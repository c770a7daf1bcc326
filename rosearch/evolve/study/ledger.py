"""The one place where a search keeps its state: a study of Optuna.

A candidate is a trial. Its user attributes, readable in Optuna's dashboard, are ``genome``,
``key``, ``seed``, ``parent`` where it inherits weights, ``owner``, ``descriptors``, ``versions``
(of the packages of the process that proposed it), and after the evaluation ``seconds`` and either
``metrics``, ``weights`` and ``score`` or ``failure``; its values are the fitness's objectives, its
parameters descriptors too (see :mod:`rosearch.evolve.study.trial_parameters`). A trial is stored
with its genome and seed in one step, before its evaluation starts. With fidelity each finished
rung is one attribute, ``rung_0`` and so on, and an intermediate value, the first objective; a
trial that is stopped below the last rung is pruned in Optuna's terms. What an evaluation gave is
written in one transaction where the storage is a database, in an order that makes up for it where
it is none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import DuplicatedStudyError, StorageInternalError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from rosearch.errors import GenomeError, StorageError, StudyMismatchError
from rosearch.evolve.study import trial_attributes as attributes
from rosearch.evolve.study.settings import differences, plain, versions
from rosearch.evolve.study.storage import (
    add_trial,
    one_transaction,
    open_storage,
    quiet_optuna,
    root_cause,
)
from rosearch.evolve.study.trial_parameters import parameters, ranges
from rosearch.evolve.study.trials import Failure, Parent, TrialRecord
from rosearch.fitness import Score
from rosearch.owners import Owner, describe_owner
from rosearch.space import Genome
from rosearch.space.descriptors import descriptors

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

_T = TypeVar("_T")
_TRIES = 3
_TAKEN_OVER_SECONDS = 0.1
"""How long to wait for others who claim the same trial."""
_SETTINGS = "rosearch.settings"
_VERSIONS = "rosearch.versions"
_LAST_OPENED = "rosearch.last_opened_with"
_METRIC_NAMES = "study:metric_names"
_CONSTRAINTS = "constraints"
"""Where Optuna keeps what Study.set_metric_names sets."""


class Ledger:
    """The trials of one study.

    Args:
        storage: URL, Optuna storage, or ``None`` for memory.
        study: The study's name in it; made when it is not there.
        settings: Everything that the sequence of trials depends on, as plain data.
        directions: ``"maximize"`` or ``"minimize"``, one an objective.
        objectives: Their names, for Optuna's plots and dashboard.
        constrained: Whether there are infeasible trials, which Optuna is then told of.
        loader: Loads a kept student; handed on to the records.

    Raises:
        StorageError: The storage cannot be opened or written, or the study is not rosearch's.
        StudyMismatchError: The study was made with other settings; the message names them.
    """

    def __init__(
        self,
        storage: str | BaseStorage | None,
        study: str,
        *,
        settings: Mapping[str, Any],
        directions: Iterable[str],
        objectives: Iterable[str] = (),
        constrained: bool = False,
        loader: Callable[..., Any] | None = None,
    ) -> None:
        wanted = plain(settings)
        self._set_up(storage, study, loader)
        self._constrained, self._ranges = constrained, ranges(wanted)
        try:
            with quiet_optuna():
                self._id = self._open(study, wanted, list(directions))
                if names := list(objectives):
                    self._storage.set_study_system_attr(self._id, _METRIC_NAMES, names)
        except StorageError:
            raise
        except Exception as error:
            raise StorageError(
                f"The storage can be opened, but the study {study!r} cannot be read or written "
                f"there: {root_cause(error)}. Check that the database is writable."
            ) from error

    @classmethod
    def existing(cls, storage: str | BaseStorage, study: str | None) -> Ledger:
        """The ledger of a study that is there, whatever its settings; nothing is written.

        Args:
            storage: URL or Optuna storage.
            study: The study's name; ``None`` for the only one.

        Raises:
            StorageError: The storage cannot be opened, has no such study, or the study is not
                rosearch's.
        """
        self = cls.__new__(cls)
        self._set_up(storage, study or "", None)
        with quiet_optuna():
            names = {s.study_name: int(s._study_id) for s in self._storage.get_all_studies()}
        if study is None and len(names) == 1:
            self.study = next(iter(names))
        if self.study not in names:
            there = ", ".join(map(repr, sorted(names))) or "none"
            wanted = "no name was given" if study is None else f"no study {study!r} is there"
            raise StorageError(f"Expected the name of a study; {wanted}. Studies: {there}.")
        self._id = names[self.study]
        if _SETTINGS not in self._storage.get_study_user_attrs(self._id):
            raise StorageError(f"rosearch did not make the study {self.study!r}.")
        return self

    def _set_up(
        self, storage: str | BaseStorage | None, study: str, loader: Callable[..., Any] | None
    ) -> None:
        self.study = study
        self.is_shared = storage is not None
        self.owner = Owner.this_process()
        self._loader = loader
        self._constrained = False
        self._finished: dict[int, TrialRecord] = {}
        self._first: tuple[TrialRecord, ...] = ()  # without a running one: they stay as they are
        self._seen: tuple[TrialRecord, ...] = ()
        self._storage = open_storage(storage)

    @property
    def settings(self) -> dict[str, Any]:
        """What the study was made with."""
        return dict(self._storage.get_study_user_attrs(self._id)[_SETTINGS])

    @property
    def versions(self) -> dict[str, str]:
        """Versions of Python and packages that the study was made with."""
        return dict(self._storage.get_study_user_attrs(self._id).get(_VERSIONS, {}))

    def trials(self) -> tuple[TrialRecord, ...]:
        """All trials in order of their numbers."""
        frozen = self._storage.get_all_trials(self._id, deepcopy=False)
        first = self._first
        known = len(first)
        if [t.number for t in frozen[known:]] != list(range(known, len(frozen))):
            frozen = sorted(frozen, key=lambda t: t.number)
        rest = [self._record(trial) for trial in frozen[known:]]
        over = next((i for i, t in enumerate(rest) if t.state == "running"), len(rest))
        self._first = first + tuple(rest[:over])
        self._seen = first + tuple(rest)
        return self._seen

    def seen(self) -> tuple[TrialRecord, ...]:
        """The trials as this ledger last saw them, with those that it has added since.

        They are read anew if this ledger has changed one since. Another process may have done so.
        """
        return self._seen or self.trials()

    def add(
        self,
        genome: Genome,
        seed: int,
        *,
        lease: float,
        parent: int | None = None,
        planned_for: int | None = None,
    ) -> int:
        """Store a new running trial of this process and return its number.

        Args:
            genome: The architecture.
            seed: Of its evaluation.
            lease: Seconds for which the trial counts as being evaluated.
            parent: Number of the trial whose weights it inherits.
            planned_for: Number that it is to have; it gets a higher one if other processes add
                trials at the same moment, and then waits to be reassigned.
        """
        identity = attributes.identity(genome, seed, parent, planned_for)
        described, values, distributions = self._described(genome)
        template = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params=values,
            distributions=distributions,
            user_attrs={
                **identity,
                "owner": self.owner.leased(lease),
                **described,
                "versions": versions(),
            },
        )
        trial_id = self._try(
            lambda: add_trial(self._storage, self._id, template),
            tries=1,  # Optuna itself tries several times
        )
        number = int(self._storage.get_trial_number_from_id(trial_id))
        seen = self._seen  # another thread's sign of life may empty it
        if number == len(seen):
            template.number = number
            self._seen = (*seen, self._record(template))
        return number

    def reassign(self, number: int, genome: Genome, seed: int, parent: int | None = None) -> None:
        """Give a running trial another genome and parent.

        Needed only when another process added a trial at the same moment, so that the number
        came out higher than the one that the genome was proposed for. Optuna changes no parameter
        of a trial, so its parameters stay those of the first genome; its descriptors are right.
        """
        described, _, _ = self._described(genome)
        written = described | attributes.identity(genome, seed, parent, number)
        self._at_once(number, lambda: self._write(number, written))

    def _described(
        self, genome: Genome
    ) -> tuple[dict[str, Any], dict[str, Any], dict[str, BaseDistribution]]:
        """What a trial holds for Optuna's tools: an attribute, parameters and their ranges."""
        if not self.is_shared:
            return {}, {}, {}  # nobody else looks into a study in memory
        described = descriptors(genome)
        return {"descriptors": described}, *parameters(genome, described, self._ranges)

    def judge(self, number: int) -> Literal["mine", "alive", "gone"]:
        """What has become of the owner of a running trial."""
        return self.owner.judge(self._trial(number).user_attrs.get("owner"))

    def claim(self, number: int, *, lease: float) -> None:
        """Say that this process still is the owner of a running trial."""
        self._at_once(number, lambda: self._write(number, {"owner": self.owner.leased(lease)}))

    def take_over(self, number: int, *, lease: float) -> bool:
        """Claim a running trial that nobody owns; whether it is this process's then.

        Of several that claim it at once the last one has it. Should two still believe to have it,
        as where one stands still in between, both evaluate it, and the first to finish counts.
        """
        self.claim(number, lease=lease)
        if self.is_shared:
            time.sleep(_TAKEN_OVER_SECONDS)
        return self.judge(number) == "mine"

    def owner_of(self, number: int) -> str:
        """Who has a running trial and until when, in words."""
        return describe_owner(self._trial(number).user_attrs.get("owner"))

    def release(self, number: int) -> None:
        """Give a running trial back, for anyone to take up."""
        self._at_once(number, lambda: self._write(number, {"owner": None}))

    def settle(self, number: int) -> bool:
        """Finish a trial whose owner died between its last attribute and its change of state.

        In a database of today these are one transaction; in a journal file they are not.

        Returns:
            Whether the trial is finished now.
        """
        trial = self._trial(number)
        rungs = attributes.finished_rungs(trial)
        if "failure" in trial.user_attrs:
            self._at_once(number, lambda: self._finish(number, TrialState.FAIL, None))
        elif "score" in trial.user_attrs and not rungs:
            score = trial.user_attrs["score"]
            self._at_once(number, lambda: self._finish(number, TrialState.COMPLETE, score))
        elif rungs and rungs[-1]["state"] != "running":
            self._at_once(number, lambda: self._end(number, rungs))
        return self._trial(number).state.is_finished()

    def complete(
        self,
        number: int,
        metrics: Mapping[str, float],
        score: Score,
        seconds: float | None,
        *,
        weights: str | None = None,
    ) -> bool:
        """Record what an evaluation without rungs gave.

        Args:
            number: The trial's number.
            metrics: By name.
            score: Their fitness.
            seconds: Time that it took, if known.
            weights: Where the student is kept.

        Returns:
            Whether it was recorded; not when another process has finished the trial.
        """
        # The score is written last: a trial that has it has everything.
        written = {
            **({} if weights is None else {"weights": weights}),
            "seconds": seconds,
            "metrics": dict(metrics),
            "score": score.to_dict(),
        }

        def change() -> None:
            self._write(number, written)
            self._finish(number, TrialState.COMPLETE, score.to_dict())

        return self._at_once(number, change)

    def rung(
        self,
        number: int,
        rung: int,
        metrics: Mapping[str, float],
        score: Score,
        seconds: float | None,
        *,
        state: Literal["running", "stopped", "complete"],
        weights: str | None = None,
    ) -> bool:
        """Record what an evaluation up to a rung gave, and what follows from it.

        Args:
            number: The trial's number.
            rung: From 0.
            metrics: By name.
            score: Their fitness.
            seconds: Time that the rung took, if known.
            state: ``"running"``: it goes on, and stays this process's.
            weights: Where the student is kept.

        Returns:
            Whether it was recorded; not when another process has recorded that rung.
        """
        trial = self._trial(number)
        rungs = attributes.finished_rungs(trial)
        if trial.state.is_finished() or len(rungs) != rung:
            return False
        # One attribute, so that a process which is killed leaves the whole rung or none of it.
        record = {
            "metrics": dict(metrics),
            "score": score.to_dict(),
            "seconds": seconds,
            "state": state,
            "weights": weights,
        }

        def change() -> None:
            self._storage.set_trial_intermediate_value(
                self._trial_id(number), rung, score.values[0]
            )
            self._write(number, {f"rung_{rung}": record})
            if state != "running":
                self._end(number, [*rungs, record])

        return self._at_once(number, change)

    def fail(self, number: int, failure: Failure, seconds: float | None) -> bool:
        """Record why an evaluation failed; returns as :meth:`complete` does."""
        before = [rung["seconds"] for rung in attributes.finished_rungs(self._trial(number))]
        written: dict[str, Any] = {
            "seconds": attributes.total([*before, seconds]),
            "failure": vars(failure).copy(),
        }

        def change() -> None:
            self._write(number, written)
            self._finish(number, TrialState.FAIL, None)

        return self._at_once(number, change)

    def _open(self, study: str, settings: dict[str, Any], directions: list[str]) -> int:
        wanted = [StudyDirection[d.upper()] for d in directions]
        try:
            study_id = int(self._storage.create_new_study(wanted, study))
        except DuplicatedStudyError:
            study_id = int(self._storage.get_study_id_from_name(study))
        stored = self._storage.get_study_user_attrs(study_id).get(_SETTINGS)
        if stored is None:
            if self._storage.get_all_trials(study_id, deepcopy=False):
                raise StorageError(
                    f"The study {study!r} has trials that rosearch did not make. Choose another "
                    f"name with study=."
                )
            # New, or its maker was killed before this line.
            self._storage.set_study_user_attr(study_id, _SETTINGS, settings)
            self._storage.set_study_user_attr(study_id, _VERSIONS, versions())
            stored = self._storage.get_study_user_attrs(study_id)[_SETTINGS]
        listed = "\n".join(f"  {line}" for line in differences(stored, settings))
        if listed:
            raise StudyMismatchError(
                f"The study {study!r} was made with other settings:\n{listed}\n"
                f"Use the settings of the study to go on with it, or another name with study= "
                f"to begin a new one."
            )
        # Shows before any training that the storage can be written.
        self._storage.set_study_user_attr(study_id, _LAST_OPENED, versions())
        return study_id

    def _record(self, trial: FrozenTrial) -> TrialRecord:
        known = self._finished.get(trial.number)
        if known is not None:
            return known
        try:
            parent = self._parent(trial.user_attrs.get("parent"))
            record = attributes.record(trial, parent, self._loader)
        except (KeyError, TypeError, GenomeError) as error:
            raise StorageError(
                f"Trial {trial.number} of the study {self.study!r} cannot be read as rosearch's "
                f"({type(error).__name__}: {error}). Was it changed by another program, or does "
                f"it use an operator of a package that is not installed here?"
            ) from error
        if record.state != "running":
            self._finished[trial.number] = record
        return record

    def _parent(self, number: int | None) -> Parent | None:
        if number is None:
            return None
        return (self._finished.get(number) or self._record(self._trial(number))).as_parent()

    def _trial_id(self, number: int) -> int:
        try:
            return int(self._storage.get_trial_id_from_study_id_trial_number(self._id, number))
        except KeyError:
            raise StorageError(f"The study {self.study!r} has no trial {number}.") from None

    def _trial(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._trial_id(number))

    def _write(self, number: int, values: Mapping[str, Any]) -> None:
        trial_id = self._trial_id(number)
        for key, value in values.items():
            self._storage.set_trial_user_attr(trial_id, key, value)

    def _finish(
        self,
        number: int,
        state: TrialState,
        score: Mapping[str, Any] | None,
    ) -> None:
        trial_id = self._trial_id(number)
        values = None if score is None else score["values"]
        if self._constrained and score is not None:
            # 0 as well: Optuna 4.0 takes a trial without any for infeasible.
            self._storage.set_trial_system_attr(trial_id, _CONSTRAINTS, [score["violation"]])
        self._storage.set_trial_state_values(trial_id, state, values)

    def _end(self, number: int, rungs: list[dict[str, Any]]) -> None:
        """Finish a trial as the last of its rungs says."""
        last = rungs[-1]
        state = TrialState.COMPLETE if last["state"] == "complete" else TrialState.PRUNED
        self._write(number, attributes.ending(rungs))
        self._finish(number, state, last["score"])

    def _at_once(self, number: int, change: Callable[[], object]) -> bool:
        """Make changes to a trial, all or none; not when another process has finished it.

        Returns:
            Whether they were made.
        """

        def all_of_it() -> None:
            with one_transaction(self._storage):
                change()

        self._seen = ()
        try:
            self._try(all_of_it)
        except RuntimeError:  # what Optuna raises for a finished trial
            if self._trial(number).state.is_finished():
                return False
            raise
        return True

    def _try(self, change: Callable[[], _T], *, tries: int = _TRIES) -> _T:
        """Change the storage, more than once if need be: what an evaluation gave is dear.

        Raises:
            StorageError: It cannot be written.
        """
        for left in reversed(range(tries)):
            try:
                return change()
            except StorageInternalError as error:  # noqa: PERF203 - it is tried again
                if not left:
                    raise StorageError(
                        f"The study {self.study!r} could not be written: "
                        f"{root_cause(error)}. Is another program holding the database's lock, the "
                        f"disk full or the server away? What is recorded stays; call run again."
                    ) from error
                time.sleep(1.0)
        raise AssertionError("unreachable")
