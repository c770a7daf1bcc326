"""The result of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from rosearch.checks import choice
from rosearch.errors import EvaluationError
from rosearch.evolve.study.presentation import report
from rosearch.evolve.study.trials import TrialRecord
from rosearch.fitness import Fitness, Score, best_index, wanted_first
from rosearch.optional import try_import

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAX_LINES = 8
"""Lines of the best genome that the ``repr`` of a result shows."""
_MAX_METRICS = 6


@dataclass(frozen=True)
class SearchResult:
    """All candidates of a study so far, and the best of them.

    Attributes:
        study: The study's name.
        trials: All candidates in order of their numbers, including failed and running ones.
        front: The feasible candidates that no other feasible one dominates, in order of their
            numbers: in the objectives of a Pareto fitness, in the weighted terms otherwise. Empty
            if nothing is feasible. With fidelity only candidates that were evaluated to the end
            count, or as long as there are none, those at the highest rung.
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
        """The result with the front that follows from the trials of a study.

        Without ``settings`` it has those of ``fitness``.
        """
        complete, scores = _at_highest_rung(trials)
        mask = fitness.front(scores)
        front = tuple(t for t, chosen in zip(complete, mask, strict=True) if chosen)
        own = {"fitness": fitness.settings}
        return cls(study, tuple(trials), front, settings or own, versions or {})

    @property
    def best(self) -> TrialRecord:
        """The best candidate: for a weighted fitness, the one with the largest sum.

        With fidelity only candidates that were evaluated to the end count, or as long as there are
        none, those at the highest rung.

        For a Pareto fitness it is the candidate on the front with the best first objective; ties
        are broken by the next objective. So list the most important objective first.

        If nothing is feasible, it is the candidate with the smallest violation of the constraints:
        then ``best.score.feasible`` is false, ``best.score.violation`` is its size, ``front`` is
        empty, and the ``repr`` of the result says so.

        Raises:
            EvaluationError: No candidate has been evaluated successfully.
        """
        best = best_of(self.trials)
        if best is None:
            failed = [t for t in self.trials if t.failure is not None]
            first = f" The first failure: {failed[0].failure}" if failed else ""
            raise EvaluationError(
                f"The study {self.study!r} has no evaluated candidate: {len(self.trials)} trials, "
                f"{len(failed)} failed.{first}"
            )
        return best

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame`` with one row for each trial.

        Raises:
            MissingResourceError: pandas is not installed.
        """
        pd = try_import("pandas", "to_pandas()", "pandas")
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

    def _figures(self, trial: TrialRecord) -> dict[str, float]:
        """The fitness and the metrics of a trial with a score, what was optimised first."""
        fitness: Mapping[str, Any] = self.settings.get("fitness", {})
        found: dict[str, float] = {}
        if trial.score is not None:
            if "weights" in fitness:
                found["fitness"] = trial.score.values[0]
            for name in wanted_first(fitness):
                read = fitness["terms"][name]["metric"]
                value = trial.score.terms[name]
                found[read if trial.metrics.get(read) == value else name] = value
        return found | {k: v for k, v in trial.metrics.items() if k not in found}

    def leaderboard(self) -> Any:
        """The candidates from best to worst as a ``pandas.DataFrame``, see :mod:`rosearch.report`.

        One row a candidate with a score, by rank; the columns are ``number``, what was optimised,
        other metrics, and ``feasible``, ``on_front``, ``state`` and ``key``.

        Raises:
            MissingResourceError: pandas is not installed.
        """
        return report("leaderboard").leaderboard(self)

    def plot_front(self, **settings: Any) -> Axes:
        """Draw the front; ``.figure`` of the result is the figure.

        Args:
            settings: Arguments of :func:`rosearch.report.plots.front`, whose errors it raises.
        """
        return _first_axes(report("plots").front(self, **settings))

    def plot_history(self, **settings: Any) -> Axes:
        """Draw each candidate and the best so far; ``.figure`` of the result is the figure.

        Args:
            settings: Arguments of :func:`rosearch.report.plots.history`, whose errors it raises.
        """
        return _first_axes(report("plots").history(self, **settings))

    def plot_statistics(
        self,
        what: Literal["correlations", "importances", "enrichment"] = "correlations",
        **settings: Any,
    ) -> tuple[Axes, ...]:
        """Draw how architectures relate to accuracy and robustness, an axes a measure.

        Args:
            what: The function of :mod:`rosearch.report.plots` that draws them.
            settings: Arguments of :func:`rosearch.statistics`, whose errors it raises.
        """
        choice("what", what, ("correlations", "importances", "enrichment"))
        found = report("stats.analysis").statistics(self, **settings)
        return tuple(getattr(report("plots"), what)(found).axes)

    def _repr_html_(self) -> str:
        return str(report("notebook").search_page(self))

    def __repr__(self) -> str:
        states = [trial.state for trial in self.trials]
        stopped = f"{states.count('stopped')} stopped, " if "stopped" in states else ""
        head = f"{states.count('complete')} complete, {stopped}{states.count('failed')} failed"
        if not any(trial.score for trial in self.trials):
            return f"SearchResult({self.study!r}: {head}, 0 on the front)"
        best = self.best
        found = f"{len(self.front)} on the front"
        if best.score is not None and not best.score.feasible:
            found = (
                f"none feasible: best is candidate {best.number}, with the smallest violation of "
                f"the constraints, {best.score.violation:.3g}"
            )
        metrics = [f"{name} {value:.4g}" for name, value in self._figures(best).items()]
        lines = str(best.genome).splitlines()
        if len(lines) > _MAX_LINES:
            left = len(lines) - _MAX_LINES
            lines = [*lines[:_MAX_LINES], f"  ... ({left} more: print(best.genome))"]
        return "\n  ".join(
            [
                f"SearchResult({self.study!r}: {head}, {found})",
                f"best: candidate {best.number}, in the search {', '.join(metrics[:_MAX_METRICS])}",
                *lines,
            ]
        )


def _first_axes(figure: Figure) -> Axes:
    return figure.axes[0]


def best_of(trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """The trial that is :attr:`SearchResult.best`; ``None`` if no trial has a score."""
    complete, scores = _at_highest_rung(trials)
    return complete[best_index(scores)] if complete else None


def _at_highest_rung(trials: Sequence[TrialRecord]) -> tuple[list[TrialRecord], list[Score]]:
    """The trials with a score at the highest rung, and these scores.

    Scores of lower rungs cannot be compared with them.
    """
    rungs = [-1 if t.rung is None else t.rung for t in trials if t.score is not None]
    highest = max(rungs, default=-1)
    found = [t for t in trials if t.score is not None and t.rung in (highest, None)]
    return found, [t.score for t in found if t.score is not None]
