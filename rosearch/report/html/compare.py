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
from rosearch.report.html.metrics import Estimate, metric

Compared: TypeAlias = "TrialRecord | RobustnessReport | Mapping[str, float]"
"""A model to compare with: a trial, a robustness report, or metrics by name."""

BEST = "best"
"""Name of the best student among reports."""


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


def _row(name: str, given: Compared | None, report: RobustnessReport | None, n: int | None) -> Row:
    source, figures = "given", {}
    if isinstance(given, RobustnessReport):
        report = given
    elif isinstance(given, TrialRecord):
        figures = estimates(given.metrics, n)
        source = "in the search" + (f", n = {n}" if n else "")
    elif given is not None:
        figures = estimates(given, None)
    if report is not None:
        errors = f", {report.errors} errors counted as broken" if report.errors else ""
        source = f"separately, n = {report.n}{errors}"
        figures |= _measured(report)
    return Row(name, source, figures)


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
