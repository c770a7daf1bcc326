"""Which students stay on disk while a search runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rosearch.evolve.study.result import SearchResult
from rosearch.evolve.study.trials import Candidate, TrialRecord
from rosearch.fitness import Fitness


class KeptStudents:
    """The students of one study, if its evaluation keeps any.

    Args:
        evaluate: The evaluation; its methods ``where``, ``discard`` and ``finish`` are used if
            they exist.
        fitness: The fitness of the study.
    """

    def __init__(self, evaluate: Callable[..., Any], fitness: Fitness) -> None:
        self.inherits = bool(getattr(evaluate, "inherits", False))
        self._where = getattr(evaluate, "where", None)
        self._discard = getattr(evaluate, "discard", None)
        self._finish = getattr(evaluate, "finish", None)
        self._fitness = fitness

    def where(self, candidate: Candidate) -> str | None:
        """Folder of the candidate's student; ``None`` if it is not kept."""
        if self._where is None:
            return None
        folder = self._where(candidate.genome, **candidate.arguments)
        return None if folder is None else str(folder)

    def wanted(self, trials: Sequence[TrialRecord]) -> dict[int, TrialRecord]:
        """Trials by number whose students are to be kept: the front and the best."""
        if not any(trial.score for trial in trials):
            return {}
        result = SearchResult.from_trials("", trials, self._fitness)
        return {trial.number: trial for trial in (*result.front, result.best)}

    def ended(self, trial: TrialRecord, trials: Sequence[TrialRecord]) -> None:
        """Discard what is no longer wanted after a trial has ended.

        Args:
            trial: The trial.
            trials: All trials of the study, including this one.
        """
        _call(self._finish, [trial])
        if self._discard is None or (self.inherits and trial.score is not None):
            return  # with inheritance every trained student may become a parent
        before = [] if self.inherits else [t for t in trials if t.number != trial.number]
        dropped = {**self.wanted(before), trial.number: trial}
        wanted = self.wanted(trials)
        _call(self._discard, [t for number, t in dropped.items() if number not in wanted])

    def clean_up(self, trials: Sequence[TrialRecord], *, search_is_over: bool) -> None:
        """Discard what killed runs have left, and all parents if the search is over."""
        ended = [trial for trial in trials if trial.state != "running"]
        _call(self._finish, ended)
        if self._discard is None or (self.inherits and not search_is_over):
            return
        wanted = self.wanted(trials)
        _call(self._discard, [trial for trial in ended if trial.number not in wanted])


def _call(function: Callable[..., Any] | None, trials: Iterable[TrialRecord]) -> None:
    if function is None:
        return
    try:
        for trial in trials:
            function(trial.genome, **trial.arguments)
    except Exception as error:  # noqa: BLE001 - a full disk or the like must not end a search
        warnings.warn(
            f"A student that is no longer needed could not be discarded: {error!r}",
            RuntimeWarning,
            stacklevel=3,
        )
