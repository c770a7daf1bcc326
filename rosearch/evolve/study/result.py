"""What a search found."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rosearch.errors import EvaluationError, MissingResourceError
from rosearch.evolve.study.trials import TrialRecord
from rosearch.fitness import Fitness, best_index

_GENOME_LINES = 8
"""Lines of the best genome that the text of a result shows."""
_FIGURES = 6
"""Metrics that it shows."""


@dataclass(frozen=True)
class SearchResult:
    """All candidates of a study so far, and the best of them.

    Attributes:
        study: The study's name.
        trials: All candidates in order of their numbers, failed and running ones included.
        front: The feasible candidates that no other feasible one dominates, in order of their
            numbers: over the objectives of a Pareto fitness, over the weighted terms otherwise.
            Empty when nothing is feasible. With fidelity, of those evaluated to the end, or while
            there are none, of those that have come the furthest.
        settings: Everything that the study's candidates and scores depend on, as plain data.
        versions: Versions of Python and packages that the study was made with.
    """

    study: str
    trials: tuple[TrialRecord, ...]
    front: tuple[TrialRecord, ...]
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    versions: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_trials(
        cls,
        study: str,
        trials: Sequence[TrialRecord],
        fitness: Fitness,
        *,
        settings: Mapping[str, Any] | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> SearchResult:
        """The result that follows from a study's trials."""
        complete = _furthest(trials)
        mask = fitness.front([t.score for t in complete if t.score is not None])
        front = tuple(t for t, chosen in zip(complete, mask, strict=True) if chosen)
        return cls(study, tuple(trials), front, settings or {}, versions or {})

    @property
    def best(self) -> TrialRecord:
        """The candidate to take: of a weighted fitness, the one with the largest sum.

        With fidelity only candidates that were evaluated to the end count, or while there are none,
        those that have come the furthest.

        Of a Pareto fitness it is the front's candidate with the best first objective, ties going
        to the next objective; so list the objective that you care for most first.

        Where nothing is feasible it is the candidate that violates the constraints least: then
        ``best.score.feasible`` is false, ``best.score.violation`` says by how much, ``front`` is
        empty, and the ``repr`` of the result says so.

        Raises:
            EvaluationError: No candidate has been evaluated with success.
        """
        complete = _furthest(self.trials)
        if not complete:
            failed = [t for t in self.trials if t.failure is not None]
            first = f" The first failure: {failed[0].failure}" if failed else ""
            raise EvaluationError(
                f"The study {self.study!r} has no evaluated candidate: {len(self.trials)} trials, "
                f"{len(failed)} failed.{first}"
            )
        return complete[best_index([t.score for t in complete if t.score is not None])]

    def to_pandas(self) -> Any:
        """One row a trial, as a ``pandas.DataFrame``; needs pandas.

        Raises:
            MissingResourceError: pandas is not installed.
        """
        try:
            pd = importlib.import_module("pandas")
        except ImportError as error:
            raise MissingResourceError(
                "to_pandas() needs pandas, which is not installed: pip install pandas"
            ) from error
        front = {t.number for t in self.front}
        rows = []
        for trial in self.trials:
            row: dict[str, Any] = {
                "number": trial.number,
                "state": trial.state,
                "key": trial.key,
                "seed": trial.seed,
                "seconds": trial.seconds,
                "rung": trial.rung,
                "parent": trial.parent,
                "on_front": trial.number in front,
                "failure": str(trial.failure) if trial.failure else None,
            }
            if trial.score is not None:
                row |= {"feasible": trial.score.feasible, "violation": trial.score.violation}
                row |= {f"value_{i}": value for i, value in enumerate(trial.score.values)}
            rows.append(row | {f"metric_{k}": v for k, v in trial.metrics.items()})
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        states = [trial.state for trial in self.trials]
        stopped = f"{states.count('stopped')} stopped, " if "stopped" in states else ""
        found = f"{len(self.front)} on the front"
        scores = [t.score for t in _furthest(self.trials) if t.score is not None]
        if scores and not any(score.feasible for score in scores):
            least = min(score.violation for score in scores)
            found = (
                f"none feasible: best is candidate {self.best.number}, which violates the "
                f"constraints least, by {least:.3g}"
            )
        head = (
            f"SearchResult({self.study!r}: {states.count('complete')} complete, {stopped}"
            f"{states.count('failed')} failed, {found})"
        )
        return "\n  ".join([head, *self._best_in_words()]) if scores else head

    def _best_in_words(self) -> list[str]:
        best = self.best
        figures = [f"{name} {value:.4g}" for name, value in best.metrics.items()]
        lines = str(best.genome).splitlines()
        if len(lines) > _GENOME_LINES:
            left = len(lines) - _GENOME_LINES
            lines = [*lines[:_GENOME_LINES], f"  ... ({left} more: print(best.genome))"]
        return [f"best: candidate {best.number}, {', '.join(figures[:_FIGURES])}", *lines]


def _furthest(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials with a score that have come the furthest; those that are complete, if any is.

    Scores of lower rungs are no equals of theirs.
    """
    scored = [t for t in trials if t.score is not None]
    top = max((-1 if t.rung is None else t.rung for t in scored), default=-1)
    return [t for t in scored if (-1 if t.rung is None else t.rung) == top]
