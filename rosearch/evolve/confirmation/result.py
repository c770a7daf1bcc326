"""Results of a confirmation: runs, statistics and table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rosearch.evolve.study.trials import Failure
from rosearch.evolve.text_table import text_table
from rosearch.optional import try_import
from rosearch.space import Genome

_SHOWN = (
    "accuracy",
    "accuracy_under_attack",
    "worst_class_under_attack",
    "attack_success_rate",
    "compression",
)
"""Metrics that the table shows if there are any of them."""
_MAX_COLUMNS = 6


@dataclass(frozen=True)
class ConfirmedRun:
    """One training and attack.

    Attributes:
        seed: Its seed.
        metrics: Metrics by name; empty if it failed before returning any.
        failure: Why it failed; ``None`` if it succeeded.
        seconds: Its duration.
    """

    seed: int
    metrics: Mapping[str, float]
    failure: Failure | None
    seconds: float


@dataclass(frozen=True)
class Confirmed:
    """One candidate, evaluated several times.

    Attributes:
        name: ``"candidate 12"`` for trial 12 of the search, otherwise its name in ``genomes=``.
        genome: The architecture.
        runs: One for each seed, including failed ones.
        number: The trial's number in the search; ``None`` for other genomes.
        searched: Its metrics in the search; empty for other genomes.
        feasible: Number of runs that satisfy the constraints of the search's fitness; ``None`` if
            there are none, or their metrics are missing.
    """

    name: str
    genome: Genome = field(repr=False)
    runs: tuple[ConfirmedRun, ...]
    number: int | None
    searched: Mapping[str, float]
    feasible: int | None = None

    @property
    def mean(self) -> dict[str, float]:
        """Mean of every metric over the successful runs; empty if all failed.

        NaN for a metric that is missing or not finite in one of them.
        """
        return self._over_runs(statistics.fmean)

    @property
    def std(self) -> dict[str, float]:
        """Sample standard deviation (n - 1) over the same runs; NaN for a single run."""
        return self._over_runs(lambda row: statistics.stdev(row) if len(row) > 1 else math.nan)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The failures of its runs."""
        return tuple(run.failure for run in self.runs if run.failure is not None)

    def _over_runs(self, statistic: Callable[[list[float]], float]) -> dict[str, float]:
        good = [run.metrics for run in self.runs if run.failure is None]
        values = {
            name: [row.get(name, math.nan) for row in good]
            for name in dict.fromkeys(name for row in good for name in row)
        }
        return {
            name: statistic(row) if all(map(math.isfinite, row)) else math.nan
            for name, row in values.items()
        }


@dataclass(frozen=True)
class Confirmation:
    """All candidates of a confirmation; ``print`` it for a table.

    Attributes:
        study: Name of the search's study.
        candidates: Those of the search, the best first, then the other genomes.
    """

    study: str
    candidates: tuple[Confirmed, ...]

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame`` with one row for each run; metrics are columns ``metric_NAME``.

        Raises:
            MissingResourceError: pandas is not installed.
        """
        pd = try_import("pandas", "to_pandas()", "pandas")
        return pd.DataFrame(
            {
                "name": candidate.name,
                "number": candidate.number,
                "key": candidate.genome.key,
                "seed": run.seed,
                "seconds": run.seconds,
                "failure": str(run.failure) if run.failure else None,
                **{f"metric_{name}": value for name, value in run.metrics.items()},
            }
            for candidate in self.candidates
            for run in candidate.runs
        )

    def table(self, metrics: Sequence[str] | None = None) -> str:
        """Mean ± standard deviation as text, one row for each candidate.

        Args:
            metrics: The columns. Default: those of accuracy, accuracy under attack, its worst
                class, attack success rate and compression that exist, otherwise the first six.
        """
        available = list(dict.fromkeys(name for c in self.candidates for name in c.mean))
        if metrics is None:
            shown = [name for name in _SHOWN if name in available]
            metrics = (shown or available)[:_MAX_COLUMNS]
        constrained = any(c.feasible is not None for c in self.candidates)
        rows = [["", "runs", *(["feasible"] if constrained else []), *metrics]]
        for c in self.candidates:
            done = len(c.runs) - len(c.failures)
            cells = [_cell(c.mean.get(n, math.nan), c.std.get(n, math.nan)) for n in metrics]
            kept = "-" if c.feasible is None else f"{c.feasible}/{done}"
            rows.append([c.name, f"{done}/{len(c.runs)}", *([kept] if constrained else []), *cells])
        return text_table(rows)

    def __str__(self) -> str:
        failed = [f"{c.name}: {failure}" for c in self.candidates for failure in c.failures]
        head = f"Confirmation of {self.study!r}, mean ± standard deviation over seeds"
        return "\n".join([head, self.table(), *(f"failed: {line}" for line in failed)])


def _cell(mean: float, std: float) -> str:
    if math.isnan(mean):
        return "-"
    return f"{mean:.4g}" if math.isnan(std) else f"{mean:.4g} ± {std:.2g}"
