"""The comparison table: rows from trials, plain metrics and robustness reports."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from rosearch.attack import RobustnessReport
from rosearch.attack.report.summary import wilson
from rosearch.evolve import TrialRecord
from rosearch.report.html.charts import Range, RangeChart, range_chart
from rosearch.report.metrics import Estimate, Metric, metric
from rosearch.report.quantities import Quantities

Compared: TypeAlias = "TrialRecord | RobustnessReport | Mapping[str, float]"
"""A model to compare with: a trial, a robustness report, or metrics by name."""

BEST = "best"
"""Name of the best student among reports."""

_ATTACKED = (
    "accuracy", "accuracy_under_attack", "attack_success_rate", "certified", "mean_queries",
    "worst_class_under_attack",
)  # fmt: skip
"""Metrics of a candidate that depend on the examples it is attacked on."""

_SEARCHED = "in the search"
_MAX_TILES = 6


@dataclass(frozen=True)
class Tile:
    """One figure of the best student at the top of the page.

    Attributes:
        metric: What it is.
        fresh: As a robustness report measured it; ``None`` if none did.
        searched: As the search measured it; ``None`` if it did not.
    """

    metric: Metric
    fresh: Estimate | None
    searched: float | None

    @property
    def value(self) -> str:
        """The figure that counts."""
        return self.metric.text(self.fresh.value if self.fresh else self.searched)

    @property
    def remark(self) -> str:
        """Interval of a fresh figure, and what the search measured."""
        m, fresh = self.metric, self.fresh
        parts = []
        if fresh is not None and fresh.low is not None:
            parts.append(f"95 %: {m.text(fresh.low)} to {m.text(fresh.high)}")
        if fresh is not None and self.searched is not None:
            parts.append(f"{_SEARCHED}: {m.text(self.searched)}")
        return "; ".join(parts) or _SEARCHED


@dataclass(frozen=True)
class Row:
    """One student or teacher.

    Attributes:
        name: Its name.
        source: Where its accuracies were measured.
        figures: Estimates by metric.
        fresh: Those of them that a robustness report measured, not the search.
    """

    name: str
    source: str
    figures: Mapping[str, Estimate]
    fresh: Mapping[str, Estimate]

    @property
    def is_searched(self) -> bool:
        """Whether its accuracies are those of a search."""
        return self.source.startswith(_SEARCHED)


def attacked_examples(settings: Mapping[str, Any]) -> int | None:
    """Number of attacked examples a candidate in the study's settings; ``None`` if unknown."""
    found: Any = settings
    for key in ("evaluate", "settings", "attacker", "examples"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return len(found) if isinstance(found, list) and found else None


def estimates(metrics: Mapping[str, float], n: int | None) -> dict[str, Estimate]:
    """The finite metrics; accuracy under attack with its Wilson interval over ``n`` examples."""
    figures = {k: Estimate(float(v)) for k, v in metrics.items() if math.isfinite(v)}
    under = figures.get("accuracy_under_attack")
    if n and under is not None and 0 <= under.value <= 1:
        interval = wilson(round(under.value * n), n)
        figures["accuracy_under_attack"] = Estimate(under.value, *interval)
    return figures


def rows(
    best: TrialRecord | None,
    compared: Mapping[str, Compared],
    reports: Mapping[str, RobustnessReport],
    n: int | None,
) -> list[Row]:
    """Rows for the best student, then for ``compared``, then for models with only a report.

    Args:
        best: The best student's trial.
        compared: Other models by name.
        reports: Robustness reports by name; that of ``best`` is called :data:`BEST`.
        n: Number of attacked examples a candidate.
    """
    found = []
    if best is not None:
        found.append(_row(f"Best found (candidate {best.number})", best, reports.get(BEST), n))
    others = [name for name in reports if name != BEST and name not in compared]
    names = (*compared, *others)
    return found + [_row(name, compared.get(name), reports.get(name), n) for name in names]


def charts(found: Sequence[Row]) -> list[RangeChart]:
    """A chart for each accuracy that at least two rows have."""
    made = []
    for shown in (metric("accuracy_under_attack"), metric("accuracy")):
        ranges = []
        for row in found:
            figure = row.figures.get(shown.name)
            if figure is not None:
                text = f"{shown.title}: {shown.interval_text(figure)}\nMeasured: {row.source}"
                strong = row.name.startswith("Best found")
                estimate = shown.scaled(figure)
                ranges.append(Range(row.name, estimate, f"{row.name}\n{text}", strong))
        if len(ranges) > 1:
            title = f"{shown.label} of the best student and of other models"
            made.append(range_chart(title, shown.title, ranges))
    return made


def tiles(best: TrialRecord, row: Row, quantities: Quantities) -> list[Tile]:
    """The figures at the top of the page: what was measured afresh, then what the search knows."""
    searched = quantities.of(best)
    headline = [metric(name) for name in ("accuracy_under_attack", "accuracy") if name in row.fresh]
    rest = [m for m in quantities.all if m.name in searched]
    shown = {m.name: m for m in (*headline, *rest)}
    return [
        Tile(m, row.fresh.get(name), searched.get(name))
        for name, m in list(shown.items())[:_MAX_TILES]
    ]


def _row(name: str, given: Compared | None, report: RobustnessReport | None, n: int | None) -> Row:
    source, figures = "given", {}
    if isinstance(given, RobustnessReport):
        report = given
    elif isinstance(given, TrialRecord):
        figures = estimates(given.metrics, n)
        source = _SEARCHED + (f", n = {n}" if n else "")
    elif given is not None:
        figures = estimates(given, None)
    if report is None:
        return Row(name, source, figures, {})
    errors = f", {report.errors} errors counted as broken" if report.errors else ""
    if isinstance(given, TrialRecord):  # what the report lacks was measured on other examples
        figures = {k: e for k, e in figures.items() if k not in _ATTACKED}
    fresh = _measured(report)
    return Row(name, f"separately, n = {report.n}{errors}", figures | fresh, fresh)


def _measured(report: RobustnessReport) -> dict[str, Estimate]:
    found = {
        name: Estimate(getattr(report, name), *getattr(report, f"{name}_interval"))
        for name in ("accuracy_under_attack", "accuracy", "attack_success_rate")
    }
    if report.errors:  # errors count as broken, as in the metrics of candidates
        low = report.accuracy_under_attack_bounds.low
        found |= estimates({"accuracy_under_attack": low}, report.n)
        found["attack_success_rate"] = Estimate(report.attack_success_rate_bounds.high)
    if len(report.by_class) > 1:
        found["worst_class_under_attack"] = Estimate(report.worst_class())
    if report.certified is not None:
        found["certified"] = Estimate(report.certified)
    return {**found, "mean_queries": Estimate(report.mean_queries)}
