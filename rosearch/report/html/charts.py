"""Geometry of the charts of a report; the templates turn it into SVG.

Coordinates are those of the chart's view box, in which text is 12 units high.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rosearch.report.metrics import Estimate

WIDE, HIGH = 420.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 12.0, 12.0, 46.0
_ROW = 24.0


@dataclass(frozen=True)
class Axis:
    """A linear axis.

    Attributes:
        label: Title with the unit.
        low: Value at its start.
        high: Value at its end.
        start: Coordinate of its start.
        end: Coordinate of its end.
        is_whole: Whether its values are whole numbers, as those of candidates.
    """

    label: str
    low: float
    high: float
    start: float
    end: float
    is_whole: bool = False

    @classmethod
    def of(cls, label: str, values: Iterable[float], start: float, end: float) -> Axis:
        """An axis that spans all ``values`` with a margin."""
        found = list(values) or [0.0, 1.0]
        low, high = min(found), max(found)
        room = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
        is_whole = all(isinstance(value, int) for value in found)
        return cls(label, low - room, high + room, start, end, is_whole)

    def place(self, value: float) -> float:
        """The coordinate of ``value``."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Coordinates and labels of three to nine ticks at round values, of whole numbers fewer."""
        raw = (self.high - self.low) / 8
        raw = max(raw, 1.0) if self.is_whole else raw
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(k * power for k in (1, 2, 5, 10) if k * power >= raw * 0.999)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        # Adding 0 turns -0 into 0.
        return [
            (self.place(k * step), f"{k * step + 0.0:,.{digits}f}") for k in range(first, last + 1)
        ]


@dataclass(frozen=True)
class Mark:
    """What a point stands for.

    Attributes:
        kind: Shape and colour: ``"candidate"``, ``"front"``, ``"best"``, ``"infeasible"``,
            ``"stopped"`` or ``"other"``.
        text: The tooltip.
        figures: Estimates by metric.
        number: The trial's number, or ``"c"`` and an index for other models.
        label: Text beside the mark.
    """

    kind: str
    text: str
    figures: Mapping[str, Estimate]
    number: str = ""
    label: str = ""


@dataclass(frozen=True)
class Point:
    """A mark at a place of a chart.

    Attributes:
        mark: The mark.
        x: Value on the horizontal axis; ``None`` if missing.
        y: Value on the vertical axis and its interval; ``None`` if missing.
    """

    mark: Mark
    x: float | None
    y: Estimate | None


@dataclass(frozen=True)
class PointChart:
    """Points over two axes, and the corners of a step line."""

    title: str
    x: Axis
    y: Axis
    points: Sequence[Point]
    steps: Sequence[tuple[float, float]] = ()
    wide: float = WIDE
    high: float = HIGH


def point_chart(
    title: str,
    x_label: str,
    y_label: str,
    points: Sequence[Point],
    *,
    steps: Sequence[tuple[float, float]] = (),
) -> PointChart:
    """A chart of ``points``.

    Args:
        title: Description of the chart, for screen readers.
        x_label: Title of the horizontal axis.
        y_label: Title of the vertical axis.
        points: The points, in the order of keyboard navigation.
        steps: Corners of a step line.
    """
    drawn = [(p.x, p.y) for p in points if p.x is not None and p.y is not None]
    x = Axis.of(x_label, [across for across, _ in drawn], LEFT, WIDE - RIGHT)
    y = Axis.of(y_label, _ends(height for _, height in drawn), HIGH - BOTTOM, TOP)
    return PointChart(title, x, y, points, steps)


@dataclass(frozen=True)
class Range:
    """One row of an interval chart.

    Attributes:
        label: Name of the row.
        estimate: The estimate and its interval.
        text: The tooltip.
        strong: Whether it is highlighted.
    """

    label: str
    estimate: Estimate
    text: str
    strong: bool = False


@dataclass(frozen=True)
class RangeChart:
    """Estimates with their intervals, one row each."""

    title: str
    x: Axis
    rows: Sequence[tuple[float, Range]]
    zero: float | None
    wide: float
    high: float


def range_chart(
    title: str, x_label: str, rows: Sequence[Range], *, reference: float | None = None
) -> RangeChart:
    """A chart of ``rows``.

    Args:
        title: Description of the chart, for screen readers.
        x_label: Title of the horizontal axis.
        rows: Rows from top to bottom.
        reference: Value at which a vertical line is drawn, such as 0.
    """
    ends = _ends(row.estimate for row in rows)
    ends += [] if reference is None else [reference]
    letters = max((len(row.label) for row in rows), default=0)
    x = Axis.of(x_label, ends, min(20 + letters * 6.4, 212.0), WIDE - RIGHT)
    placed = [(TOP + _ROW * (k + 0.5), row) for k, row in enumerate(rows)]
    zero = None if reference is None else x.place(reference)
    return RangeChart(title, x, placed, zero, WIDE, TOP + _ROW * len(rows) + BOTTOM)


def _ends(estimates: Iterable[Estimate]) -> list[float]:
    ends = [end for e in estimates for end in (e.value, e.low, e.high)]
    return [end for end in ends if end is not None]
