"""What the metrics of an evaluation are called for people, and in which unit they are shown."""

from __future__ import annotations

import math
from dataclasses import dataclass

MISSING = "\N{EN DASH}"
"""What a cell says where there is no figure."""

FITNESS = "fitness"
"""Name of the first objective of a score, beside the metrics."""


@dataclass(frozen=True)
class Metric:
    """How one metric is shown.

    Attributes:
        name: Its key in an evaluation's metrics.
        label: Its name in words.
        unit: Unit of the shown number; empty for a plain number.
        factor: Shown number over stored number.
        digits: Digits behind the point; ``None`` for three that count.
        better: ``"higher"`` or ``"lower"``, or empty where neither is.
    """

    name: str
    label: str
    unit: str = ""
    factor: float = 1.0
    digits: int | None = None
    better: str = ""

    @property
    def title(self) -> str:
        """Label and unit, for axes and heads of columns."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def shown(self, value: float | None) -> float | None:
        """``value`` in the unit in which it is shown; ``None`` where there is no finite one."""
        if value is None or not math.isfinite(value):
            return None
        return float(f"{value * self.factor:.6g}")

    def text(self, value: float | None) -> str:
        """``value`` for a cell of a table; a dash where there is none."""
        number = self.shown(value)
        if number is None:
            return MISSING
        if self.digits is not None:
            return f"{number:,.{self.digits}f}"
        return f"{number:.3g}" if abs(number) < 1000 else f"{number:,.0f}"

    def spoken(self, value: float | None) -> str:
        """``value`` with its unit, for sentences."""
        text = self.text(value)
        return text if text == MISSING or not self.unit else f"{text} {self.unit}"


_KNOWN = {
    m.name: m
    for m in (
        Metric(FITNESS, "Fitness", better="higher"),
        Metric("accuracy_under_attack", "Accuracy under attack", "%", 100, 1, "higher"),
        Metric("accuracy", "Clean accuracy", "%", 100, 1, "higher"),
        Metric("worst_class_under_attack", "Worst class under attack", "%", 100, 1, "higher"),
        Metric("attack_success_rate", "Attack success rate", "%", 100, 1, "lower"),
        Metric("compression", "Compression", "times", 1, 2, "higher"),
        Metric("parameters", "Parameters", "millions", 1e-6, 2, "lower"),
        Metric("flops", "FLOPs of one text", "millions", 1e-6, 1, "lower"),
        Metric("latency", "Latency of one text", "ms", 1e3, 2, "lower"),
        Metric("mean_queries", "Queries to attack an example", "", 1, 1, "higher"),
        Metric("seconds", "Time to train and attack", "s", 1, 1, "lower"),
    )
}


def metric(name: str) -> Metric:
    """How the metric of that name is shown; a name of one's own is its label."""
    return _KNOWN.get(name) or Metric(name, name.replace("_", " ").capitalize())


def in_order(names: set[str]) -> list[Metric]:
    """The metrics of those names, those that one looks at first in front."""
    known = [name for name in _KNOWN if name in names]
    return [metric(name) for name in (*known, *sorted(names - set(known)))]


def duration(seconds: float) -> str:
    """A time for people: ``"3 h 20 min"``, ``"4 min 10 s"``, ``"12.3 s"``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
