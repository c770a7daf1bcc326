"""Strategies side by side: many searches each, with equal budgets."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from rosearch.errors import MissingResourceError
from rosearch.evolve.confirmation.result import as_text

if TYPE_CHECKING:
    import os

By = Literal["evaluations", "seconds"]
Values = npt.NDArray[np.float64]

_POINTS = 200
"""Places at which curves over seconds are drawn."""
_FEWEST = 6
"""The median is between the extremes of n runs with 1 - 2 / 2^n, which is 0.94 for 5."""


@dataclass(frozen=True)
class SimulatedRun:
    """One search of one strategy.

    Attributes:
        seed: Its seed.
        best: Fitness of the best candidate after each one, in the order in which they began, of
            those that were evaluated in full and break no constraint; NaN before the first.
        seconds: Simulated time when each candidate was finished.
        deciding: Real seconds that the strategy took for all of its proposals.
    """

    seed: int
    best: Values = field(repr=False)
    seconds: Values = field(repr=False)
    deciding: float

    @property
    def final(self) -> float:
        """The best fitness at the end; NaN where nothing feasible was evaluated in full."""
        return float(self.best[-1]) if len(self.best) else math.nan

    def reached(self, target: float, by: By) -> float:
        """Evaluations or seconds until a fitness of ``target``; infinite where it was not found."""
        there = np.flatnonzero(self.best >= target)
        if not len(there):
            return math.inf
        return float(there[0] + 1) if by == "evaluations" else float(self.seconds[there[0]])


@dataclass(frozen=True)
class Summary:
    """How one strategy did; medians over its runs, with intervals of at least 95 %.

    A median is the mean of the two in the middle where the number of runs is even, so that it is
    infinite where only half of them came near the best known fitness.

    Attributes:
        strategy: Its name.
        runs: Number of searches.
        reached: Share of them that came within the share of the best known fitness.
        evaluations: Median number of candidates until then; infinite where most did not.
        evaluations_interval: Its interval, by order statistics; NaN with fewer than 6 runs, whose
            extremes hold the median less often.
        seconds: Median simulated time until then.
        seconds_interval: Its interval.
        speedup: The baseline's median seconds over this one's; NaN where both are infinite
            or both 0.
        p_value: Of the two-sided Mann-Whitney test of the seconds against the baseline's; NaN for
            the baseline itself, and without scipy. It takes all runs as independent, though
            those of one seed may begin with the same samples, and is not corrected for the number
            of strategies.
        final: Median fitness at the end; runs that found nothing feasible are below all others, and
            where most did it is NaN.
        deciding: Real milliseconds that the strategy took for a proposal, on average.
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
    deciding: float


@dataclass(frozen=True)
class Comparison:
    """Searches of several strategies; print it for a table against the first one.

    Attributes:
        runs: The searches of each strategy by its name.
        best: The best known fitness: the one that was given, or the best that any run found.
    """

    runs: Mapping[str, tuple[SimulatedRun, ...]] = field(repr=False)
    best: float

    def target(self, share: float = 0.01) -> float:
        """The fitness that is within ``share`` of the best known one.

        A share of its size, which depends on where the fitness has its zero: with other terms or
        weights the same share is another distance.
        """
        return self.best - share * abs(self.best)

    def reached(self, strategy: str, *, share: float = 0.01, by: By = "evaluations") -> Values:
        """Evaluations or simulated seconds of each run until within ``share`` of the best.

        Infinite where a run did not come there; shape ``(runs,)``.
        """
        target = self.target(share)
        return np.array([run.reached(target, by) for run in self._runs(strategy)])

    def curve(
        self, strategy: str, *, by: By = "evaluations"
    ) -> tuple[Values, Values, Values, Values]:
        """The best fitness so far: places, median, lower and upper quartile over the runs.

        A quartile between two runs is the outer one. NaN where the runs had found nothing yet. A
        run that ended earlier keeps its last value.
        """
        runs = self._runs(strategy)
        if by == "evaluations":
            places = np.arange(1.0, max(len(run.best) for run in runs) + 1)
        else:
            ends = [float(run.seconds[-1]) for run in runs if len(run.seconds)]
            places = np.linspace(0, max(ends, default=0.0), _POINTS)
        rows = np.array([_at(run, places, by) for run in runs])
        low = np.quantile(rows, 0.25, axis=0, method="lower")
        high = np.quantile(rows, 0.75, axis=0, method="higher")
        return places, _finite(np.median(rows, axis=0)), _finite(low), _finite(high)

    def summary(self, *, share: float = 0.01, baseline: str | None = None) -> tuple[Summary, ...]:
        """One record a strategy.

        Args:
            share: How near the best known fitness counts as there.
            baseline: Strategy that the others are compared with; the first if omitted.

        Raises:
            KeyError: There is no strategy ``baseline``.
        """
        name = next(iter(self.runs)) if baseline is None else baseline
        against = self.reached(name, share=share, by="seconds")
        return tuple(self._summary(other, share, against, name) for other in self.runs)

    def _summary(self, name: str, share: float, against: Values, baseline: str) -> Summary:
        runs = self._runs(name)
        evaluations = self.reached(name, share=share)
        seconds = self.reached(name, share=share, by="seconds")
        median, theirs = float(np.median(seconds)), float(np.median(against))
        decided = sum(len(run.best) for run in runs)
        return Summary(
            name,
            len(runs),
            float(np.isfinite(seconds).mean()),
            float(np.median(evaluations)),
            _interval(evaluations),
            median,
            _interval(seconds),
            _ratio(theirs, median),
            math.nan if name == baseline else _rank_test(seconds, against),
            _finite_median([run.final for run in runs]),
            1000 * sum(run.deciding for run in runs) / decided if decided else math.nan,
        )

    def to_pandas(self) -> Any:
        """One row a strategy, seed and evaluation as a ``pandas.DataFrame``.

        Raises:
            MissingResourceError: pandas is not installed.
        """
        pd = _optional("pandas", "to_pandas()", "pandas")
        return pd.concat(
            [
                pd.DataFrame(
                    {
                        "strategy": name,
                        "seed": run.seed,
                        "evaluations": np.arange(1, len(run.best) + 1),
                        "seconds": run.seconds,
                        "best": run.best,
                    }
                )
                for name, runs in self.runs.items()
                for run in runs
            ],
            ignore_index=True,
        )

    def table(self, *, share: float = 0.01, baseline: str | None = None) -> str:
        """:meth:`summary` as text, one row a strategy."""
        name = next(iter(self.runs)) if baseline is None else baseline
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
            for s in self.summary(share=share, baseline=name)
        ]
        head = (
            f"Median until within {share:.1%} of the best known fitness, {self.best:.4f}; "
            f"speed-up and p (Mann-Whitney) of the seconds against {name}"
        )
        return f"{head}\n{as_text(rows)}"

    def plot(self, path: str | os.PathLike[str] | None = None, *, by: By = "evaluations") -> Any:
        """Median and quartiles of the best fitness so far as a matplotlib ``Figure``.

        Args:
            path: Where to save it; the suffix says how: ``.svg``, ``.png``, ``.pdf``.
            by: What goes to the right.

        Raises:
            MissingResourceError: matplotlib is not installed.
        """
        figures = _optional("matplotlib.figure", "plot()", "'rosearch[plot]'")
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

    def _runs(self, strategy: str) -> tuple[SimulatedRun, ...]:
        if strategy not in self.runs:
            raise KeyError(f"{strategy!r}; the strategies are {', '.join(self.runs)}.")
        return self.runs[strategy]

    def __str__(self) -> str:
        return self.table()


def _at(run: SimulatedRun, places: Values, by: By) -> Values:
    """The best of ``run`` at ``places``; minus infinity where there is none."""
    known = np.concatenate([[-np.inf], np.where(np.isnan(run.best), -np.inf, run.best)])
    if by == "evaluations":
        before = np.minimum(places.astype(int), len(run.best))
    else:
        before = np.searchsorted(run.seconds, places, side="right")
    values: Values = known[before]
    return values


def _finite(values: Values) -> Values:
    return np.where(np.isinf(values), np.nan, values)


def _finite_median(finals: Sequence[float]) -> float:
    known = np.where(np.isnan(finals), -np.inf, finals)
    middle = float(np.sort(known)[[(len(known) - 1) // 2, len(known) // 2]].mean())
    return middle if math.isfinite(middle) else math.nan


def _ratio(a: float, b: float) -> float:
    if a == b and (a == 0 or math.isinf(a)):
        return math.nan
    return math.inf if b == 0 else a / b


def _span(interval: tuple[float, float]) -> str:
    return "-" if math.isnan(interval[0]) else "{:.4g} to {:.4g}".format(*interval)


def _interval(values: Values) -> tuple[float, float]:
    """A 95 % interval of the median by order statistics, with the normal approximation."""
    if len(values) < _FEWEST:
        return math.nan, math.nan
    half = 1.96 * math.sqrt(len(values)) / 2
    low = max(0, math.floor(len(values) / 2 - half))
    high = min(len(values) - 1, math.ceil(len(values) / 2 + half))
    ordered = np.sort(values)
    return float(ordered[low]), float(ordered[high])


def _rank_test(a: Values, b: Values) -> float:
    try:
        stats = importlib.import_module("scipy.stats")
    except ImportError:
        return math.nan
    # What was not reached is later than all else, and ties with its like.
    return float(stats.mannwhitneyu(a, b, alternative="two-sided").pvalue)


def _optional(module: str, what: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingResourceError(
            f"{what} needs {package.strip(chr(39))}, which is not installed: pip install {package}"
        ) from error
