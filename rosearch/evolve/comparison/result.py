"""Results of a comparison of strategies: curves, summary statistics, table and plot."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from rosearch.errors import MissingResourceError
from rosearch.evolve.text_table import text_table
from rosearch.optional import try_import

if TYPE_CHECKING:
    import os

By = Literal["evaluations", "seconds"]
Values = npt.NDArray[np.float64]

_POINTS = 200
"""Points of a curve over seconds."""
_MIN_RUNS = 6
"""The median is between the extremes of n runs with probability 1 - 2 / 2^n, 0.94 for 5 runs."""


@dataclass(frozen=True)
class SimulatedRun:
    """One search of one strategy.

    Attributes:
        seed: Its seed.
        best: Best fitness after each candidate, in the order of the trials. Only candidates that
            were evaluated in full and break no constraint count; NaN before the first.
        seconds: Simulated time at the end of each candidate.
    """

    seed: int
    best: Values = field(repr=False)
    seconds: Values = field(repr=False)

    @property
    def final(self) -> float:
        """The best fitness at the end; NaN if nothing feasible was evaluated in full."""
        return float(self.best[-1]) if len(self.best) else math.nan

    def reached(self, target: float, by: By) -> float:
        """Evaluations or seconds until a fitness of ``target``; infinite if it was not reached."""
        there = np.flatnonzero(self.best >= target)
        if not len(there):
            return math.inf
        return float(there[0] + 1) if by == "evaluations" else float(self.seconds[there[0]])


@dataclass(frozen=True)
class Summary:
    """Statistics of one strategy: medians over its runs, with intervals of at least 95 %.

    The median of an even number of runs is the mean of the two in the middle, so it is infinite
    when only half of them reached the target.

    Attributes:
        strategy: Its name.
        runs: Number of searches.
        reached: Fraction of them that reached the target, see :meth:`Comparison.target`.
        evaluations: Median number of candidates until then.
        evaluations_interval: Its interval, by order statistics; NaN with fewer than 6 runs.
        seconds: Median simulated time until then.
        seconds_interval: Its interval.
        speedup: Median seconds of the baseline divided by this one's; NaN if both are infinite or
            both are 0.
        p_value: Two-sided Mann-Whitney test of the seconds against those of the baseline; NaN for
            the baseline itself, and without scipy. Not corrected for the number of strategies. The
            runs count as independent, although those with equal seeds may start with equal samples.
        final: Median fitness at the end; NaN if most runs found nothing feasible.
    """

    strategy: str
    runs: int
    reached: float
    evaluations: float
    evaluations_interval: tuple[float, float]
    seconds: float
    seconds_interval: tuple[float, float]
    speedup: float
    p_value: float
    final: float


@dataclass(frozen=True)
class Comparison:
    """Searches of several strategies; ``print`` it for a table.

    Attributes:
        runs: The searches of each strategy by its name.
        best: The best known fitness: the given one, or the best of any run.
    """

    runs: Mapping[str, tuple[SimulatedRun, ...]] = field(repr=False)
    best: float

    def target(self, share: float = 0.01) -> float:
        """The fitness that counts as reached: below the best known one by ``share`` of its size.

        It depends on where the fitness has its zero, so it is not comparable between fitnesses.
        """
        return self.best - share * abs(self.best)

    def reached(self, strategy: str, *, share: float = 0.01, by: By = "evaluations") -> Values:
        """Evaluations or simulated seconds until each run reached the target, shape ``(runs,)``.

        Infinite for a run that did not reach it.
        """
        target = self.target(share)
        return np.array([run.reached(target, by) for run in self.runs[strategy]])

    def curve(
        self, strategy: str, *, by: By = "evaluations"
    ) -> tuple[Values, Values, Values, Values]:
        """Best fitness so far: x values, median, lower and upper quartile over the runs.

        A quartile between two runs is the outer one. NaN where the runs had found nothing. A run
        that ended earlier keeps its last value.
        """
        runs = self.runs[strategy]
        if by == "evaluations":
            places = np.arange(1.0, max(len(run.best) for run in runs) + 1)
        else:
            ends = [float(run.seconds[-1]) for run in runs if len(run.seconds)]
            places = np.linspace(0, max(ends, default=0.0), _POINTS)
        rows = np.array([_best_at(run, places, by) for run in runs])
        low = np.quantile(rows, 0.25, axis=0, method="lower")
        high = np.quantile(rows, 0.75, axis=0, method="higher")
        return places, _finite(np.median(rows, axis=0)), _finite(low), _finite(high)

    def summary(self, *, share: float = 0.01, baseline: str | None = None) -> tuple[Summary, ...]:
        """One :class:`Summary` for each strategy.

        Args:
            share: Fraction of the best known fitness by which a run may miss it.
            baseline: The strategy to compare with; default: the first.

        Raises:
            KeyError: There is no strategy ``baseline``.
        """
        baseline = baseline or next(iter(self.runs))
        theirs = self.reached(baseline, share=share, by="seconds")
        found = []
        for name, runs in self.runs.items():
            evaluations = self.reached(name, share=share)
            seconds = self.reached(name, share=share, by="seconds")
            finals = np.array([run.final for run in runs])
            summary = Summary(
                strategy=name,
                runs=len(runs),
                reached=float(np.isfinite(seconds).mean()),
                evaluations=float(np.median(evaluations)),
                evaluations_interval=_interval(evaluations),
                seconds=float(np.median(seconds)),
                seconds_interval=_interval(seconds),
                speedup=_ratio(np.median(theirs), np.median(seconds)),
                p_value=math.nan if name == baseline else _rank_test(seconds, theirs),
                final=float(_finite(np.median(_comparable(finals)))),
            )
            found.append(summary)
        return tuple(found)

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame`` with one row for each strategy, seed and evaluation.

        Raises:
            MissingResourceError: pandas is not installed.
        """
        pd = try_import("pandas", "to_pandas()", "pandas")
        columns = ["strategy", "seed", "evaluations", "seconds", "best"]
        rows = [
            (name, run.seed, *row)
            for name, runs in self.runs.items()
            for run in runs
            for row in zip(range(1, len(run.best) + 1), run.seconds, run.best, strict=True)
        ]
        return pd.DataFrame(rows, columns=columns)

    def table(self, *, share: float = 0.01, baseline: str | None = None) -> str:
        """:meth:`summary` as text, one row for each strategy."""
        baseline = baseline or next(iter(self.runs))
        rows = [["", "reached", "evaluations", "95 %", "seconds", "95 %", "speed-up", "p", "final"]]
        rows += [
            [
                s.strategy,
                f"{s.reached:.0%}",
                f"{s.evaluations:.4g}",
                _span(s.evaluations_interval),
                f"{s.seconds:.4g}",
                _span(s.seconds_interval),
                "-" if math.isnan(s.speedup) else f"{s.speedup:.2f}",
                "-" if math.isnan(s.p_value) else f"{s.p_value:.1g}",
                f"{s.final:.4f}",
            ]
            for s in self.summary(share=share, baseline=baseline)
        ]
        head = (
            f"Median until within {share:.1%} of the best known fitness, {self.best:.4f}; "
            f"speed-up and p (Mann-Whitney) of the seconds against {baseline}"
        )
        return f"{head}\n{text_table(rows)}"

    def plot(self, path: str | os.PathLike[str] | None = None, *, by: By = "evaluations") -> Any:
        """Median and quartiles of the best fitness so far as a matplotlib ``Figure``.

        Args:
            path: File to save it to; the suffix sets the format: ``.svg``, ``.png``, ``.pdf``.
            by: The x axis.

        Raises:
            MissingResourceError: matplotlib is not installed.
        """
        figures = try_import("matplotlib.figure", "plot()", "plot")
        figure = figures.Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.add_subplot()
        for name in self.runs:
            places, median, low, high = self.curve(name, by=by)
            (line,) = axes.step(places, median, where="post", label=name)
            axes.fill_between(
                places, low, high, step="post", alpha=0.15, color=line.get_color(), linewidth=0
            )
        axes.axhline(self.best, color="0.5", linewidth=0.8, linestyle="--", label="best known")
        axes.set_xlabel("candidates" if by == "evaluations" else "simulated seconds")
        axes.set_ylabel("best fitness so far")
        axes.legend(loc="lower right")
        if path is not None:
            figure.savefig(path)
        return figure

    def __str__(self) -> str:
        return self.table()


def _best_at(run: SimulatedRun, places: Values, by: By) -> Values:
    """The best fitness of ``run`` at x values; minus infinity where there is none."""
    known = np.concatenate([[-np.inf], _comparable(run.best)])
    if by == "evaluations":
        before = np.minimum(places.astype(int), len(run.best))
    else:
        before = np.searchsorted(run.seconds, places, side="right")
    values: Values = known[before]
    return values


def _comparable(values: Values) -> Values:
    """NaN as minus infinity, so that it counts as worse than any fitness."""
    return np.where(np.isnan(values), -np.inf, values)


def _finite(values: Any) -> Values:
    """Infinity as NaN."""
    return np.where(np.isinf(values), np.nan, values)


def _ratio(a: Any, b: Any) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.divide(a, b))


def _span(interval: tuple[float, float]) -> str:
    return "-" if math.isnan(interval[0]) else "{:.4g} to {:.4g}".format(*interval)


def _interval(values: Values) -> tuple[float, float]:
    """A 95 % interval of the median by order statistics, with the normal approximation."""
    if len(values) < _MIN_RUNS:
        return math.nan, math.nan
    half = 1.96 * math.sqrt(len(values)) / 2
    low = max(0, math.floor(len(values) / 2 - half))
    high = min(len(values) - 1, math.ceil(len(values) / 2 + half))
    ordered = np.sort(values)
    return float(ordered[low]), float(ordered[high])


def _rank_test(a: Values, b: Values) -> float:
    try:
        stats = try_import("scipy.stats", "A p-value", "report")
    except MissingResourceError:
        return math.nan
    # Runs that did not reach the target are tied, and later than all others.
    return float(stats.mannwhitneyu(a, b, alternative="two-sided").pvalue)
