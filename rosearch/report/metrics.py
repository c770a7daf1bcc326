"""Labels and units of an evaluation's metrics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

MISSING = "\N{EN DASH}"
"""Text of an empty cell."""

FITNESS = "fitness"
"""Name of a weighted sum, beside the metrics."""

Better: TypeAlias = Literal["", "higher", "lower"]
_ARROWS = {"higher": "\N{UPWARDS ARROW}", "lower": "\N{DOWNWARDS ARROW}"}


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval, if there is one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Metric:
    """How one metric is shown.

    Attributes:
        name: Its key in an evaluation's metrics.
        label: Its name in words.
        unit: Unit of the shown number; empty for none.
        factor: Shown number divided by stored number.
        digits: Decimal places; ``None`` for three significant digits.
        better: What the fitness wants, ``"higher"`` or ``"lower"``; empty if it does not say.
        low: Its minimum by a constraint, as stored; ``None`` for none.
        high: Its maximum by a constraint.
    """

    name: str
    label: str
    unit: str = ""
    factor: float = 1.0
    digits: int | None = None
    better: Better = ""
    low: float | None = None
    high: float | None = None

    @property
    def title(self) -> str:
        """Label and unit, for column headings."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def axis(self) -> str:
        """Title with an arrow upwards if higher is better, downwards if lower is."""
        return f"{self.title} {_ARROWS[self.better]}" if self.better else self.title

    @property
    def wanted(self) -> str:
        """What the fitness wants, as ``"Clean accuracy (higher is better)"``; empty if nothing."""
        bounds = (("at least", self.low), ("at most", self.high))
        parts = [f"{self.better} is better"] if self.better else []
        parts += [
            f"{how} {self.text(v)} {self.unit}".rstrip() for how, v in bounds if v is not None
        ]
        return f"{self.label} ({', '.join(parts)})" if parts else ""

    def shown(self, value: float) -> float:
        """``value`` in the shown unit."""
        return float(f"{value * self.factor:.6g}")

    def scaled(self, estimate: Estimate) -> Estimate:
        """``estimate`` in the shown unit."""
        ends = (estimate.low, estimate.high)
        low, high = (None if end is None else self.shown(end) for end in ends)
        return Estimate(self.shown(estimate.value), low, high)

    def text(self, value: float | None) -> str:
        """``value`` for a table cell; a dash if it is missing or not finite."""
        if value is None or not math.isfinite(value):
            return MISSING
        number = self.shown(value)
        if self.digits is not None:
            return f"{number:,.{self.digits}f}"
        return f"{number:.3g}" if abs(number) < 1000 else f"{number:,.0f}"

    def interval_text(self, estimate: Estimate | None) -> str:
        """``estimate`` with its interval in brackets; a dash if it is missing."""
        if estimate is None:
            return MISSING
        text = self.text(estimate.value)
        if estimate.low is None:
            return text
        return f"{text} ({self.text(estimate.low)} to {self.text(estimate.high)})"


_KNOWN = {
    m.name: m
    for m in (
        Metric(FITNESS, "Fitness", better="higher"),
        Metric("accuracy_under_attack", "Accuracy under attack", "%", 100, 1),
        Metric("accuracy", "Clean accuracy", "%", 100, 1),
        Metric("worst_class_under_attack", "Worst class under attack", "%", 100, 1),
        Metric("certified", "Certified", "%", 100, 1),
        Metric("attack_success_rate", "Attack success rate", "%", 100, 1),
        Metric("compression", "Compression", "times", 1, 2),
        Metric("parameters", "Parameters", "millions", 1e-6, 2),
        Metric("flops", "FLOPs of one text", "millions", 1e-6, 1),
        Metric("latency", "Latency of one text", "ms", 1e3, 2),
        Metric("mean_queries", "Queries to attack an example", "", 1, 1),
        Metric("seconds", "Time to train and attack", "s", 1, 1),
        Metric("trainings", "Trainings", "", 1, 0),
        Metric("accuracy_std", "Clean accuracy, deviation between trainings", "%", 100, 1),
        Metric(
            "accuracy_under_attack_std",
            "Accuracy under attack, deviation between trainings",
            "%",
            100,
            1,
        ),
    )
}


def metric(name: str) -> Metric:
    """The metric of that name; unknown names become their own labels."""
    return _KNOWN.get(name) or Metric(name, name.replace("_", " ").capitalize())


def in_order(names: set[str]) -> list[Metric]:
    """The metrics of those names, the most important first."""
    known = [name for name in _KNOWN if name in names]
    return [metric(name) for name in (*known, *sorted(names - set(known)))]


def duration(seconds: float) -> str:
    """A duration in words: ``"3 h 20 min"``, ``"4 min 10 s"``, ``"12.3 s"``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
