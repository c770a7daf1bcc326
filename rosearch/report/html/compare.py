"""The comparison table: rows from trials, plain metrics and robustness reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from rosearch.attack import RobustnessReport
from rosearch.attack.report.summary import wilson
from rosearch.evolve import SearchResult, TrialRecord
from rosearch.report.html.charts import Range, RangeChart, range_chart
from rosearch.report.html.metrics import MISSING, Metric, in_order, metric

Compared: TypeAlias = "TrialRecord | RobustnessReport | Mapping[str, float]"
"""A model to compare with: a trial, a robustness report, or metrics by name."""

BEST = "best"
"""Name of the best student among reports."""

_MEASURED = ("accuracy_under_attack", "accuracy", "attack_success_rate")


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval, if there is one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Row:
    """One student or teacher.

    Attributes:
        name: Its name.
        source: Where its accuracies were measured.
        figures: Estimates by metric.
    """

    name: str
    source: str
    figures: Mapping[str, Estimate]

    def text(self, shown: Metric) -> str:
        """The text of a table cell."""
        found = self.figures.get(shown.name)
        if found is None:
            return MISSING
        if found.low is None or found.high is None:
            return shown.text(found.value)
        ends = f"{shown.text(found.low)} to {shown.text(found.high)}"
        return f"{shown.text(found.value)} ({ends})"


def attacked_examples(settings: Mapping[str, Any]) -> int | None:
    """Number of attacked examples a candidate in the study's settings; ``None`` if unknown."""
    found: Any = settings
    for key in ("evaluate", "settings", "attacker", "examples"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return len(found) if isinstance(found, list) and found else None


def estimates(metrics: Mapping[str, float], n: int | None) -> dict[str, Estimate]:
    """Metrics as estimates; accuracy under attack with its Wilson interval over ``n`` examples."""
    figures = {name: Estimate(float(value)) for name, value in metrics.items()}
    under = figures.get("accuracy_under_attack")
    if n and under is not None and 0 <= under.value <= 1:
        low, high = wilson(round(under.value * n), n)
        figures["accuracy_under_attack"] = Estimate(under.value, low, high)
    return figures


def rows(
    search: SearchResult,
    best: TrialRecord | None,
    compared: Mapping[str, Compared],
    reports: Mapping[str, RobustnessReport],
) -> list[Row]:
    """Rows for the best student, then for ``compared``, then for models with only a report."""
    n = attacked_examples(search.settings)
    found = []
    if best is not None:
        title = f"Best found (candidate {best.number})"
        found.append(_row(title, best, reports.get(BEST), n))
    found += [_row(name, given, reports.get(name), n) for name, given in compared.items()]
    others = [name for name in reports if name != BEST and name not in compared]
    return found + [_row(name, reports[name], None, n) for name in others]


def columns(found: Sequence[Row]) -> list[Metric]:
    """The metrics of any of the rows."""
    return in_order({name for row in found for name in row.figures})


def charts(found: Sequence[Row]) -> list[RangeChart]:
    """A chart for each accuracy that at least two rows have."""
    made = []
    for name in _MEASURED[:2]:
        shown = metric(name)
        ranges = [_range(row, shown, row.figures[name]) for row in found if name in row.figures]
        if len(ranges) > 1:
            title = f"{shown.label} of the best student and of other models"
            made.append(range_chart(title, shown.title, ranges))
    return made


def _range(row: Row, shown: Metric, found: Estimate) -> Range:
    text = f"{row.name}\n{shown.label}: {row.text(shown)} {shown.unit}\nMeasured: {row.source}"
    value = shown.shown(found.value)
    return Range(
        row.name,
        0.0 if value is None else value,
        shown.shown(found.low),
        shown.shown(found.high),
        text,
        row.name.startswith("Best found"),
    )


def _row(name: str, given: Compared, report: RobustnessReport | None, n: int | None) -> Row:
    if isinstance(given, RobustnessReport):
        return Row(name, _afresh(given), _measured(given))
    if isinstance(given, TrialRecord):
        figures = estimates(given.metrics, n)
        source = "in the search" + (f", n = {n}" if n else "")
    else:
        figures = estimates(given, None)
        source = "given"
    if report is None:
        return Row(name, source, figures)
    return Row(name, _afresh(report), {**figures, **_measured(report)})


def _measured(report: RobustnessReport) -> dict[str, Estimate]:
    found = {
        name: Estimate(getattr(report, name), *getattr(report, f"{name}_interval"))
        for name in _MEASURED
    }
    if report.errors:  # errors count as broken, as in the metrics of candidates
        low = report.accuracy_under_attack_bounds.low
        found |= estimates({"accuracy_under_attack": low}, report.n)
        found["attack_success_rate"] = Estimate(report.attack_success_rate_bounds.high)
    if len(report.by_class) > 1:
        found["worst_class_under_attack"] = Estimate(report.worst_class())
    return {**found, "mean_queries": Estimate(report.mean_queries)}


def _afresh(report: RobustnessReport) -> str:
    errors = f", {report.errors} errors counted as broken" if report.errors else ""
    return f"separately, n = {report.n}{errors}"
