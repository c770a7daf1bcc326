"""The statistics section of the report: charts and tables, or the reason for their absence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rosearch.errors import RosearchError
from rosearch.evolve import SearchResult
from rosearch.report.html.charts import Range, RangeChart, range_chart
from rosearch.report.html.metrics import metric
from rosearch.report.stats.analysis import statistics as compute
from rosearch.report.stats.records import Enrichment, Importance, Relation, Statistics

_SHOWN = 10
"""Maximum rows of a chart; the table below it has all."""
_FARTHEST = 6.0
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


@dataclass(frozen=True)
class Section:
    """The section on architectures.

    Attributes:
        reason: Why there are no statistics; empty if there are.
        found: The statistics.
        tables: Charts and tables.
    """

    reason: str = ""
    found: Statistics | None = None
    tables: Sequence[Table] = ()


def section(
    search: SearchResult,
    given: Statistics | None,
    *,
    majority: float | None = 0.5,
    examples: int = 200,
) -> Section:
    """The section for ``given`` statistics, or for those of ``search`` computed here.

    ``majority`` and ``examples`` are those of :func:`rosearch.statistics`.
    """
    if given is None:
        try:
            given = compute(search, majority=majority, examples=examples)
        except RosearchError as error:
            return Section(reason=str(error))
    tables = [
        *_relations("Rank correlation with", given.correlations, given.confidence),
        *_relations("Partial rank correlation with", given.partial, given.confidence),
        *_importances(given),
        *_enrichment(given.enrichment, given.confidence),
    ]
    return Section(found=given, tables=tables)


def measure(name: str) -> str:
    """A measure in words, in lower case."""
    label = metric(name).label
    return label[:1].lower() + label[1:]


def _relations(what: str, relations: Sequence[Relation], confidence: float) -> list[Table]:
    tables = []
    for key in dict.fromkeys((r.measure, r.given) for r in relations):
        rows = sorted(
            (r for r in relations if (r.measure, r.given) == key),
            key=lambda r: (r.p_corrected, r.p),
        )
        held = f", given {' and '.join(measure(g) for g in key[1])}" if key[1] else ""
        title = f"{what} {measure(key[0])}{held}"
        ranges = [_range(r, r.is_finding(confidence)) for r in rows[:_SHOWN]]
        chart = range_chart(title, "Correlation of the ranks (-1 to 1)", ranges, reference=0.0)
        tables.append(Table(title, chart, _HEAD, [_cells(r) for r in rows]))
    return tables


def _importances(found: Statistics) -> list[Table]:
    tables = []
    for name in dict.fromkeys(i.measure for i in found.importances):
        rows = sorted(
            (i for i in found.importances if i.measure == name), key=lambda i: -i.estimate
        )
        title = f"Importance in a forest that predicts {measure(name)}"
        ranges = [_range(i, i.is_finding(found.confidence)) for i in rows[:_SHOWN]]
        chart = range_chart(title, "Decrease of R² when permuted", ranges, reference=0.0)
        tables.append(Table(title, chart, _HEAD, [_cells(i) for i in rows]))
    return tables


def _enrichment(rows: Sequence[Enrichment], confidence: float) -> list[Table]:
    if not rows:
        return []
    ordered = sorted(rows, key=lambda e: (e.p_corrected, e.p))
    ranges = [
        Range(
            e.name, _log(e.estimate), _log(e.low), _log(e.high),
            f"{e.name}\nOdds ratio {_number(e.estimate)} ({_number(e.low)} to {_number(e.high)})\n"
            f"On the front: {e.front_with} of {e.front}; others: {e.others_with} of {e.others}",
            e.is_finding(confidence),
        )
        for e in ordered[:_SHOWN]
    ]  # fmt: skip
    title = "Operators and edges of the front against all others"
    chart = range_chart(
        title, f"Odds ratio (log2, at most ±{_FARTHEST:.0f})", ranges, reference=0.0
    )
    head = ("Part", "Kind", "Odds ratio", "Interval", "Corrected p", "On the front", "Others")
    cells = [
        (
            e.name, e.kind, _number(e.estimate), f"{_number(e.low)} to {_number(e.high)}",
            f"{e.p_corrected:.3g}", f"{e.front_with} of {e.front}",
            f"{e.others_with} of {e.others}",
        )
        for e in ordered
    ]  # fmt: skip
    return [Table(title, chart, head, cells)]


_HEAD = ("Descriptor", "Estimate", "Interval", "Corrected p", "n")


def _cells(row: Relation | Importance) -> tuple[str, ...]:
    ends = f"{_number(row.low)} to {_number(row.high)}"
    return (_words(row.name), _number(row.estimate), ends, f"{row.p_corrected:.3g}", str(row.n))


def _range(row: Relation | Importance, strong: bool) -> Range:
    cells = _cells(row)
    text = f"{cells[0]}\n{cells[1]} ({cells[2]})\nCorrected p {cells[3]}, n = {cells[4]}"
    value, low, high = (x if math.isfinite(x) else None for x in (row.estimate, row.low, row.high))
    return Range(cells[0], value or 0.0, low, high, text, strong)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _log(ratio: float) -> float:
    if not ratio > 0:
        return -_FARTHEST
    return max(-_FARTHEST, min(_FARTHEST, math.log2(ratio)))


def _number(value: Any) -> str:
    return "∞" if value == math.inf else f"{value:.2f}"
