"""Which students stay on disk while a search runs, and which are dropped."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

from rosearch.evolve.records import Candidate, TrialRecord, comparable
from rosearch.evolve.result import SearchResult


class Students:
    """The students of one study, as far as its evaluation keeps them.

    Args:
        evaluate: The evaluation; its ``where``, ``discard`` and ``finish`` are used, if there.
        keep: The best so many are kept, and the front.

    Raises:
        ValueError: ``keep`` is below 1.
    """

    def __init__(self, evaluate: Callable[..., Any], *, keep: int) -> None:
        given: Any = keep
        if isinstance(given, bool) or not isinstance(given, int) or given < 1:
            raise ValueError(f"keep is a whole number of at least 1, got {keep!r}.")
        self.keep = keep
        self.inherits = bool(getattr(evaluate, "inherits", False))
        self._where = getattr(evaluate, "where", None)
        self._discard = getattr(evaluate, "discard", None)
        self._finish = getattr(evaluate, "finish", None)

    def where(self, candidate: Candidate) -> str | None:
        """Folder where the candidate's student is; ``None`` where none is kept."""
        if self._where is None:
            return None
        folder = self._where(candidate.genome, **candidate.arguments)
        return None if folder is None else str(folder)

    def kept(self, study: Callable[[], SearchResult]) -> dict[int, TrialRecord]:
        """Trials whose students are wanted in the end; ``study`` is asked only if there are any."""
        if self._discard is None:
            return {}
        result = study()
        wanted = [*result.front, *comparable(result.trials)[: self.keep]]
        if any(trial.score is not None for trial in result.trials):
            wanted.append(result.best)
        return {trial.number: trial for trial in wanted}

    def ended(
        self,
        trial: TrialRecord,
        before: dict[int, TrialRecord],
        now: Callable[[], SearchResult],
    ) -> None:
        """Clean up after a trial that has just ended.

        Args:
            trial: The trial.
            before: What was kept before it ended.
            now: The study with it.
        """
        self._call(self._finish, [trial])
        if self.inherits and trial.score is not None:
            return  # it may become a parent, as may all that were kept before
        kept = self.kept(now)
        dropped = {trial.number: trial} if self.inherits else {**before, trial.number: trial}
        self._call(self._discard, [t for n, t in dropped.items() if n not in kept])

    def tidy(self, study: Callable[[], SearchResult], *, search_is_over: bool) -> None:
        """Drop what killed runs have left behind, and parents where the search is over."""
        if self._discard is None and self._finish is None:
            return
        ended = [t for t in study().trials if t.state != "running"]
        self._call(self._finish, ended)
        if self.inherits and not search_is_over:
            return
        kept = self.kept(study)
        self._call(self._discard, [t for t in ended if t.number not in kept])

    @staticmethod
    def _call(function: Callable[..., Any] | None, trials: Iterable[TrialRecord]) -> None:
        if function is None:
            return
        try:
            for trial in trials:
                function(trial.genome, **trial.arguments)
        except Exception as error:  # noqa: BLE001 - housekeeping must not end a search
            warnings.warn(
                f"A student that is no longer needed could not be discarded: {error!r}",
                RuntimeWarning,
                stacklevel=3,
            )
