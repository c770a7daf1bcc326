"""The one place where a search keeps its state: a study of Optuna.

A candidate is a trial. Its user attributes, readable in Optuna's dashboard, are ``genome``,
``key``, ``seed``, ``owner``, and after the evaluation ``seconds`` and either ``metrics`` and
``score`` or ``failure``; its values are the fitness's objectives. A trial is stored with its
genome and seed in one step, before its evaluation starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import optuna
from optuna.exceptions import DuplicatedStudyError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from rosearch.errors import GenomeError, StorageError, StudyMismatchError
from rosearch.evolve.ownership import Owner
from rosearch.evolve.records import Failure, TrialRecord
from rosearch.evolve.settings import differences, plain, versions
from rosearch.evolve.storage import open_storage, quiet_optuna, root_cause
from rosearch.fitness import Score
from rosearch.space import Genome

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

_SETTINGS = "rosearch.settings"
_VERSIONS = "rosearch.versions"
_LAST_OPENED = "rosearch.last_opened_with"


class Ledger:
    """The trials of one study.

    Args:
        storage: URL, Optuna storage, or ``None`` for memory.
        study: The study's name in it; made when it is not there.
        settings: Everything that the sequence of trials depends on, as plain data.
        directions: ``"maximize"`` or ``"minimize"``, one an objective.
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
        loader: Callable[..., Any] | None = None,
    ) -> None:
        self.study = study
        self.is_shared = storage is not None
        self.owner = Owner.this_process()
        self._loader = loader
        self._finished: dict[int, TrialRecord] = {}
        wanted = plain(settings)
        self._storage = open_storage(storage)
        try:
            with quiet_optuna():
                self._id = self._open(study, wanted, list(directions))
        except StorageError:
            raise
        except Exception as error:
            raise StorageError(
                f"The storage can be opened, but the study {study!r} cannot be read or written "
                f"there: {root_cause(error)}. Check that the database is writable."
            ) from error

    def trials(self) -> tuple[TrialRecord, ...]:
        """All trials in order of their numbers."""
        frozen = self._storage.get_all_trials(self._id, deepcopy=False)
        return tuple(self._record(trial) for trial in sorted(frozen, key=lambda t: t.number))

    def add(self, genome: Genome, seed: int, *, lease: float) -> int:
        """Store a new running trial of this process and return its number."""
        attributes = {**_identity(genome, seed), "owner": self.owner.leased(lease)}
        template = optuna.trial.create_trial(state=TrialState.RUNNING, user_attrs=attributes)
        trial_id = self._storage.create_new_trial(self._id, template_trial=template)
        return int(self._storage.get_trial_number_from_id(trial_id))

    def reassign(self, number: int, genome: Genome, seed: int) -> None:
        """Give a running trial another genome.

        Needed only when another process added a trial at the same moment, so that the number
        came out higher than the one that the genome was proposed for.
        """
        self._write(number, _identity(genome, seed))

    def judge(self, number: int) -> Literal["mine", "alive", "gone"]:
        """What has become of the owner of a running trial."""
        return self.owner.judge(self._trial(number).user_attrs.get("owner"))

    def claim(self, number: int, *, lease: float) -> None:
        """Make this process the owner of a running trial, or say that it still is.

        Two processes that claim one trial in the same instant both evaluate it; the first to
        finish counts.
        """
        self._write(number, {"owner": self.owner.leased(lease)})

    def release(self, number: int) -> None:
        """Give a running trial back, for anyone to take up."""
        self._write(number, {"owner": None})

    def settle(self, number: int) -> bool:
        """Finish a trial whose owner died between its last attribute and its change of state.

        Returns:
            Whether the trial is finished now.
        """
        attributes = self._trial(number).user_attrs
        if "failure" in attributes:
            self._finish(number, TrialState.FAIL, None)
        elif "score" in attributes:
            self._finish(number, TrialState.COMPLETE, attributes["score"]["values"])
        return self._trial(number).state.is_finished()

    def complete(
        self, number: int, metrics: Mapping[str, float], score: Score, seconds: float | None
    ) -> bool:
        """Record what an evaluation gave.

        Returns:
            Whether it was recorded; not when another process has finished the trial.
        """
        attributes = {"seconds": seconds, "metrics": dict(metrics), "score": score.to_dict()}
        # The score is written last: a trial that has it has everything.
        return self._write(number, attributes) and self._finish(
            number, TrialState.COMPLETE, list(score.values)
        )

    def fail(self, number: int, failure: Failure, seconds: float | None) -> bool:
        """Record why an evaluation failed; returns as :meth:`complete` does."""
        attributes: dict[str, Any] = {"seconds": seconds, "failure": vars(failure).copy()}
        return self._write(number, attributes) and self._finish(number, TrialState.FAIL, None)

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
        attributes = trial.user_attrs
        state: Literal["complete", "failed", "running"] = "running"
        if trial.state == TrialState.COMPLETE:
            state = "complete"
        elif trial.state == TrialState.FAIL:
            state = "failed"
        try:
            record = TrialRecord(
                number=trial.number,
                genome=Genome.from_json(attributes["genome"]),
                key=attributes["key"],
                seed=int(attributes["seed"]),
                state=state,
                metrics=attributes["metrics"] if state == "complete" else {},
                score=Score.from_dict(attributes["score"]) if state == "complete" else None,
                seconds=attributes.get("seconds"),
                failure=Failure(**attributes["failure"]) if state == "failed" else None,
                loader=self._loader,
            )
        except (KeyError, TypeError, GenomeError) as error:
            raise StorageError(
                f"Trial {trial.number} of the study {self.study!r} cannot be read as rosearch's "
                f"({type(error).__name__}: {error}). Was it changed by another program, or does "
                f"it use an operator of a package that is not installed here?"
            ) from error
        if state != "running":
            self._finished[trial.number] = record
        return record

    def _trial_id(self, number: int) -> int:
        try:
            return int(self._storage.get_trial_id_from_study_id_trial_number(self._id, number))
        except KeyError:
            raise StorageError(f"The study {self.study!r} has no trial {number}.") from None

    def _trial(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._trial_id(number))

    def _write(self, number: int, attributes: Mapping[str, Any]) -> bool:
        trial_id = self._trial_id(number)
        try:
            for key, value in attributes.items():
                self._storage.set_trial_user_attr(trial_id, key, value)
        except RuntimeError:  # what Optuna raises for a finished trial
            if self._storage.get_trial(trial_id).state.is_finished():
                return False
            raise
        return True

    def _finish(self, number: int, state: TrialState, values: list[float] | None) -> bool:
        trial_id = self._trial_id(number)
        try:
            return bool(self._storage.set_trial_state_values(trial_id, state, values))
        except RuntimeError:  # what Optuna raises for a finished trial
            if self._storage.get_trial(trial_id).state.is_finished():
                return False
            raise


def _identity(genome: Genome, seed: int) -> dict[str, Any]:
    return {"genome": genome.to_json(), "key": genome.key, "seed": int(seed)}
