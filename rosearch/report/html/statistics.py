"""The statistics of the report: a chart and a table for each family of tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rosearch.report.html.charts import Range, RangeChart, range_chart
from rosearch.report.metrics import Estimate, metric
from rosearch.report.stats.records import (
    Effect,
    Enrichment,
    Statistics,
    by_measure,
    by_p_value,
)

_MAX_ROWS = 10
"""Maximum rows of a chart; the table below it has all."""
_MAX_LOG = 6.0
"""Where an infinite log odds ratio is drawn."""


@dataclass(frozen=True)
class Table:
    """A chart of the strongest rows, and a table of all.

    Attributes:
        title: Title of both.
        chart: The strongest rows.
        head: Column headings.
        rows: The cells.
    """

    title: str
    chart: RangeChart
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(found: Statistics) -> list[Table]:
    """All tables, the strongest rows of each first."""
    made = []

    def add(title: str, axis: str, rows: Sequence[Effect]) -> None:
        ranges = [_range(row, found.confidence) for row in rows[:_MAX_ROWS]]
        chart = range_chart(title, axis, ranges, reference=0.0)
        cells = [_cells(row) for row in rows]
        made.append(Table(title, chart, list(cells[0]), [list(c.values()) for c in cells]))

    named = {"Rank correlation": found.correlations, "Partial rank correlation": found.partial}
    for what, relations in named.items():
        for (name, given), some in by_measure(relations).items():
            held = f", given {' and '.join(map(_measure, given))}" if given else ""
            title = f"{what} with {_measure(name)}{held}"
            add(title, "Correlation of the ranks (-1 to 1)", by_p_value(some))
    for name in dict.fromkeys(i.measure for i in found.importances):
        own = [i for i in found.importances if i.measure == name]
        title = f"Importance in a forest that predicts {_measure(name)}"
        add(title, "Decrease of R² when permuted", sorted(own, key=lambda i: -i.estimate))
    if found.enrichment:
        title = "Operators, edges and encodings of the front against all others"
        axis = f"Odds ratio (log2, at most ±{_MAX_LOG:.0f})"
        add(title, axis, by_p_value(found.enrichment))
    return made


def _measure(name: str) -> str:
    return metric(name).label.lower()


def _cells(row: Effect) -> dict[str, str]:
    cells = {
        "Name": row.name,
        "Odds ratio" if isinstance(row, Enrichment) else "Estimate": _number(row.estimate),
        "Interval": f"{_number(row.low)} to {_number(row.high)}",
        "Corrected p": f"{row.p_corrected:.3g}",
        "n": str(row.n),
    }
    if isinstance(row, Enrichment):
        cells["Kind"] = row.kind
        cells["On the front"] = f"{row.front_with} of {row.front}"
        cells["Others"] = f"{row.others_with} of {row.others}"
    return cells


def _range(row: Effect, confidence: float) -> Range:
    text = "\n".join(f"{head}: {cell}" for head, cell in _cells(row).items())
    ends = [row.estimate, row.low, row.high]
    if isinstance(row, Enrichment):
        ends = [_log(end) for end in ends]
    return Range(row.name, Estimate(*ends), text, row.is_finding(confidence))


def _log(ratio: float) -> float:
    return max(-_MAX_LOG, min(_MAX_LOG, math.log2(ratio))) if ratio > 0 else -_MAX_LOG


def _number(value: float) -> str:
    return "∞" if value == math.inf else f"{value:.2f}"
