"""Geometry of the charts of a report; the templates turn it into SVG.

Coordinates are those of the chart's view box, in which text is 12 units high.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDE, HIGH = 420.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 12.0, 12.0, 46.0
_ROW = 24.0
_MOST_LETTERS = 32


@dataclass(frozen=True)
class Tick:
    """A tick of an axis: its coordinate and its label."""

    at: float
    text: str


@dataclass(frozen=True)
class Axis:
    """A linear axis.

    Attributes:
        label: Title with the unit.
        low: Value at its start.
        high: Value at its end.
        start: Coordinate of its start.
        end: Coordinate of its end.
    """

    label: str
    low: float
    high: float
    start: float
    end: float

    @classmethod
    def of(cls, label: str, values: Iterable[float], start: float, end: float) -> Axis:
        """An axis that spans all ``values`` with a margin."""
        found = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
        low, high = min(found), max(found)
        room = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
        return cls(label, low - room, high + room, start, end)

    def place(self, value: float) -> float:
        """The coordinate of ``value``."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    @property
    def ticks(self) -> list[Tick]:
        """Three to nine ticks at round values."""
        raw = (self.high - self.low) / 8
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(k * power for k in (1, 2, 5, 10) if k * power >= raw * 0.999)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        # Adding 0 turns -0 into 0.
        return [
            Tick(self.place(k * step), f"{k * step + 0.0:,.{digits}f}")
            for k in range(first, last + 1)
        ]


@dataclass(frozen=True)
class Point:
    """One mark of a chart.

    Attributes:
        x: Value on the horizontal axis; NaN if missing.
        y: Value on the vertical axis; NaN if missing.
        kind: Shape and colour: ``"candidate"``, ``"front"``, ``"best"``, ``"infeasible"``,
            ``"stopped"`` or ``"other"``.
        text: The tooltip.
        number: The trial's number, or ``"c"`` and an index for other models.
        label: Text beside the mark.
        low: Lower end of the interval of ``y``.
        high: Upper end of the interval of ``y``.
    """

    x: float
    y: float
    kind: str
    text: str
    number: str = ""
    label: str = ""
    low: float | None = None
    high: float | None = None

    @property
    def gone(self) -> bool:
        """Whether it is hidden because it lacks a value on one of the axes."""
        return math.isnan(self.x) or math.isnan(self.y)


@dataclass(frozen=True)
class PointChart:
    """Points over two axes, and possibly a line."""

    title: str
    x: Axis
    y: Axis
    points: Sequence[Point]
    line: str = ""
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
    seen = [p for p in points if not p.gone]
    heights = [v for p in seen for v in (p.y, p.low, p.high) if v is not None]
    x = Axis.of(x_label, [p.x for p in seen], LEFT, WIDE - RIGHT)
    y = Axis.of(y_label, heights, HIGH - BOTTOM, TOP)
    line = ""
    for k, (at, height) in enumerate(steps):
        place, level = x.place(at), y.place(height)
        line += f"H{place}V{level}" if k else f"M{place} {level}"
    return PointChart(title, x, y, points, line)


@dataclass(frozen=True)
class Range:
    """One row of an interval chart.

    Attributes:
        label: Name of the row.
        value: The estimate.
        low: Lower end of its interval; ``None`` without an interval.
        high: Upper end of its interval.
        text: The tooltip.
        strong: Whether it is highlighted.
    """

    label: str
    value: float
    low: float | None
    high: float | None
    text: str
    strong: bool = False

    @property
    def name(self) -> str:
        """The label, truncated to the space available."""
        fits = len(self.label) <= _MOST_LETTERS
        return self.label if fits else self.label[: _MOST_LETTERS - 1] + "…"


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
    ends = [v for r in rows for v in (r.value, r.low, r.high) if v is not None]
    ends += [] if reference is None else [reference]
    letters = max((len(r.name) for r in rows), default=0)
    x = Axis.of(x_label, ends, min(20 + letters * 6.4, 212.0), WIDE - RIGHT)
    placed = [(TOP + _ROW * (k + 0.5), row) for k, row in enumerate(rows)]
    zero = None if reference is None else x.place(reference)
    return RangeChart(title, x, placed, zero, WIDE, TOP + _ROW * len(rows) + BOTTOM)
