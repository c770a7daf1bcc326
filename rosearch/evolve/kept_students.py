"""Which students stay on disk while a search runs, and which are dropped."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rosearch.evolve.study.result import SearchResult
from rosearch.evolve.study.trials import Candidate, TrialRecord, comparable
from rosearch.fitness import Fitness


@dataclass(frozen=True)
class _Place:
    """What decides whether a trial comes before another in the order of ``comparable``."""

    number: int
    rung: int
    infeasible: bool
    violation: float
    values: tuple[float, ...]

    @classmethod
    def of(cls, trial: TrialRecord) -> _Place:
        score = trial.score
        if score is None:
            raise ValueError(f"Expected a trial with a score, got trial {trial.number}.")
        signed = zip(score.values, score.directions, strict=True)
        values = tuple(v if direction == "maximize" else -v for v, direction in signed)
        rung = -1 if trial.rung is None else trial.rung
        return cls(trial.number, rung, not score.feasible, score.violation, values)

    def beats(self, other: _Place) -> bool:
        """Whether it comes first whichever trials there are beside the two."""
        mine = (-self.rung, self.infeasible)
        theirs = (-other.rung, other.infeasible)
        if mine != theirs:
            return mine < theirs
        if self.infeasible:
            return (self.violation, self.number) < (other.violation, other.number)
        if len(self.values) == 1:
            return (-self.values[0], self.number) < (-other.values[0], other.number)
        pairs = zip(self.values, other.values, strict=True)
        return self.values != other.values and all(a >= b for a, b in pairs)


class Students:
    """The students of one study, as far as its evaluation keeps them.

    Args:
        evaluate: The evaluation; its ``where``, ``discard`` and ``finish`` are used, if there.
        fitness: What is wanted.
        keep: The best so many are kept, and the front.

    Attributes:
        kept: Trials by number whose students are wanted in the end, as far as is known; empty where
            the evaluation discards none.

    Raises:
        ValueError: ``keep`` is below 1.
    """

    def __init__(self, evaluate: Callable[..., Any], fitness: Fitness, *, keep: int) -> None:
        given: Any = keep
        if isinstance(given, bool) or not isinstance(given, int) or given < 1:
            raise ValueError(f"keep is a whole number of at least 1, got {keep!r}.")
        self.keep = keep
        self.inherits = bool(getattr(evaluate, "inherits", False))
        self._where = getattr(evaluate, "where", None)
        self._discard = getattr(evaluate, "discard", None)
        self._finish = getattr(evaluate, "finish", None)
        self._fitness = fitness
        self.kept: dict[int, TrialRecord] = {}
        self._hopeful: dict[int, TrialRecord] = {}  # may be among the best, or are
        self._places: dict[int, tuple[_Place, int]] = {}  # theirs, and how many are better
        self._first = 0  # all trials before it are known
        self._seen: set[int] = set()  # others that are known

    def where(self, candidate: Candidate) -> str | None:
        """Folder where the candidate's student is; ``None`` where none is kept."""
        if self._where is None:
            return None
        folder = self._where(candidate.genome, **candidate.arguments)
        return None if folder is None else str(folder)

    def learn(self, trials: Sequence[TrialRecord]) -> None:
        """Take in the trials of the study that have ended since the last call.

        They are compared with those only that may still be wanted, not with the whole study.
        """
        if self._discard is None:
            return
        fresh = [
            t for t in trials[self._first :] if t.state != "running" and t.number not in self._seen
        ]
        self._seen |= {t.number for t in fresh}
        while self._first in self._seen:
            self._seen.remove(self._first)
            self._first += 1
        scored = [t for t in fresh if t.score is not None]
        if not scored:
            return
        for trial in scored:
            self._enter(trial)
        numbered = {t.number: t for t in (*self._hopeful.values(), *self.kept.values(), *scored)}
        few = SearchResult.from_trials("", [numbered[n] for n in sorted(numbered)], self._fitness)
        wanted = [*few.front, *comparable(self._hopeful.values())[: self.keep], few.best]
        self.kept = {trial.number: trial for trial in wanted}

    def _enter(self, trial: TrialRecord) -> None:
        """Note a trial as long as fewer than ``keep`` others are better whatever is to come."""
        place = _Place.of(trial)
        better = 0
        for number, (other, above) in list(self._places.items()):
            if other.beats(place):
                better += 1
            elif place.beats(other):
                if above + 1 >= self.keep:
                    del self._places[number], self._hopeful[number]
                else:
                    self._places[number] = (other, above + 1)
        if better < self.keep:
            self._places[trial.number] = (place, better)
            self._hopeful[trial.number] = trial

    def ended(self, trial: TrialRecord, trials: Sequence[TrialRecord]) -> None:
        """Clean up after a trial that has just ended.

        Args:
            trial: The trial.
            trials: The study with it; without it, :meth:`learn` has been given the study.
        """
        before = self.kept
        self.learn(trials)
        self._call(self._finish, [trial])
        if self.inherits and trial.score is not None:
            return  # it may become a parent, as may all that were kept before
        dropped = {trial.number: trial} if self.inherits else {**before, trial.number: trial}
        self._call(self._discard, [t for n, t in dropped.items() if n not in self.kept])

    def tidy(self, trials: Sequence[TrialRecord], *, search_is_over: bool) -> None:
        """Drop what killed runs have left behind, and parents where the search is over."""
        if self._discard is None and self._finish is None:
            return
        ended = [t for t in trials if t.state != "running"]
        self._call(self._finish, ended)
        if self.inherits and not search_is_over:
            return
        self.learn(trials)
        self._call(self._discard, [t for t in ended if t.number not in self.kept])

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
