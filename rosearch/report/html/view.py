"""The contents of a report, as plain values for the templates."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rosearch.evolve import SearchResult, TrialRecord
from rosearch.report.html.charts import Point, PointChart, point_chart
from rosearch.report.html.compare import Compared, attacked_examples, estimates
from rosearch.report.html.metrics import FITNESS, Metric, in_order, metric

_SHAPES = {
    "best": "best",
    "front": "on the front",
    "candidate": "candidate",
    "infeasible": "breaks a constraint",
    "stopped": "stopped early",
}
"""Legend of the marks, topmost first."""


def figures(trial: TrialRecord) -> dict[str, float]:
    """The finite metrics of a trial, and its fitness if that is one number."""
    found = {k: float(v) for k, v in trial.metrics.items() if math.isfinite(v)}
    if trial.score is not None and len(trial.score.values) == 1:
        found[FITNESS] = trial.score.values[0]
    return found


def operators(trial: TrialRecord) -> str:
    """The operators of a genome with their counts."""
    counted = Counter(node.operator for node in trial.genome.nodes)
    named = [
        f"{name} \N{MULTIPLICATION SIGN} {n}" if n > 1 else name for name, n in counted.items()
    ]
    return ", ".join(named) or "bag of words"


class View:
    """A study in the form that the report shows.

    Args:
        search: The study.
        compared: Models to compare its students with, by name.
    """

    def __init__(self, search: SearchResult, compared: Mapping[str, Compared]) -> None:
        self.search = search
        self.compared = compared
        self.scored = [t for t in search.trials if t.score is not None]
        self.best = search.best if self.scored else None
        self.front = {t.number for t in search.front}
        self.n = attacked_examples(search.settings)
        names = {name for t in self.scored for name in figures(t)}
        self.metrics: list[Metric] = in_order(names)
        self.states = Counter(t.state for t in search.trials)
        # By rung: below the last, metrics are of fewer epochs or examples.
        self.stopped = Counter(t.rung for t in search.trials if t.state == "stopped")

    @property
    def legend(self) -> list[tuple[str, str]]:
        """The kinds of marks in the charts, with their meaning."""
        there = {self.kind(t) for t in self.scored}
        return [(kind, text) for kind, text in _SHAPES.items() if kind in there]

    def kind(self, trial: TrialRecord) -> str:
        """The kind of mark of a trial."""
        if self.best is not None and trial.number == self.best.number:
            return "best"
        if trial.number in self.front:
            return "front"
        if trial.state == "stopped":
            return "stopped"
        feasible = trial.score is None or trial.score.feasible
        return "candidate" if feasible else "infeasible"

    def axes(self) -> tuple[Metric, Metric] | None:
        """The initial axes of the front: a cost and accuracy under attack."""
        names = [m.name for m in self.metrics]
        costs = [n for n in ("compression", "parameters", "flops", "latency") if n in names]
        wanted = [n for n in ("accuracy_under_attack", "accuracy", *names) if n in names]
        y = next(iter(wanted), None)
        x = next((n for n in (*costs, *wanted) if n != y), None)
        return None if x is None or y is None else (metric(x), metric(y))

    def front_chart(self) -> PointChart | None:
        """The candidates over :meth:`axes`."""
        axes = self.axes()
        if axes is None:
            return None
        x, y = axes
        points = []
        for number, name, values, kind, text, n in self._marks():
            at, height = x.shown(values.get(x.name)), y.shown(values.get(y.name))
            if at is None or height is None:
                at = height = math.nan  # shown once the user chooses other axes
            low, high = _ends(y, values, n)
            points.append(Point(at, height, kind, text, number, name, low, high))
        title = f"{y.label} of the candidates over {x.label[0].lower()}{x.label[1:]}"
        return point_chart(title, x.title, y.title, points)

    def data(self) -> dict[str, Any]:
        """Data with which the script changes the axes of the front."""
        marks = {}
        for number, _, values, _, _, n in self._marks():
            shown = {m.name: m.shown(values.get(m.name)) for m in self.metrics}
            under = metric("accuracy_under_attack")
            low, high = _ends(under, values, n)
            ends = {under.name: [low, high]} if low is not None else {}
            marks[number] = {"v": {k: v for k, v in shown.items() if v is not None}, "i": ends}
        return {"axes": {m.name: m.title for m in self.metrics}, "marks": marks}

    def history_charts(self) -> list[PointChart]:
        """Each objective over the trial number, with the best so far."""
        charts = []
        for k in range(len(self.best.score.values) if self.best and self.best.score else 0):
            shown = self._objective(k)
            points, steps, best = [], [], None
            for trial in self.scored:
                score = trial.score
                value = None if score is None else shown.shown(score.values[k])
                if score is None or value is None:
                    continue
                points.append(
                    Point(
                        trial.number, value, self.kind(trial), self._text(trial), str(trial.number)
                    )
                )
                sign = 1 if score.directions[k] == "maximize" else -1
                if trial.state != "complete" or not score.feasible:
                    continue
                if best is None or sign * value > sign * best:
                    best = value
                    steps.append((float(trial.number), value))
            if best is not None:
                steps.append((float(self.scored[-1].number), best))
            title = f"{shown.label} of each candidate, and the best so far as a line"
            charts.append(
                point_chart(
                    title, "Candidate (order of proposal)", shown.title, points, steps=steps
                )
            )
        return charts

    def seconds_chart(self) -> PointChart | None:
        """The wall time of each candidate."""
        points = [
            Point(t.number, t.seconds, self.kind(t), self._text(t), str(t.number))
            for t in self.search.trials
            if t.seconds is not None
        ]
        if len(points) < 2:
            return None
        return point_chart(
            "Seconds of each candidate", "Candidate (order of proposal)", "Time (s)", points
        )

    def _objective(self, k: int) -> Metric:
        fitness = self.search.settings.get("fitness", {})
        names = fitness.get("objectives") if fitness.get("kind") == "pareto" else [FITNESS]
        if not names or k >= len(names):
            return metric(FITNESS if k == 0 else f"objective {k + 1}")
        read = fitness.get("terms", {}).get(names[k], {}).get("metric", names[k])
        return metric(read)

    def _marks(self) -> Iterator[tuple[str, str, dict[str, float], str, str, int | None]]:
        """Number, label, metrics, kind, tooltip and attacked examples of each mark of the front."""
        order = list(reversed(_SHAPES))  # the last lies on top
        for trial in sorted(self.scored, key=lambda t: order.index(self.kind(t))):
            kind, text = self.kind(trial), self._text(trial)
            yield str(trial.number), "", figures(trial), kind, text, self._examples(trial)
        for k, (name, given) in enumerate(self.compared.items()):
            if isinstance(given, TrialRecord):
                text = f"{name}\n{self._text(given)}"
                yield f"c{k}", name, figures(given), "other", text, self._examples(given)
            elif isinstance(given, Mapping):
                values = {key: float(v) for key, v in given.items()}
                yield f"c{k}", name, values, "other", f"{name}\n{_lines(values, None)}", None

    def _examples(self, trial: TrialRecord) -> int | None:
        return self.n if trial.state == "complete" else None

    def _text(self, trial: TrialRecord) -> str:
        kind = self.kind(trial)
        state = trial.state if trial.score is None else _SHAPES[kind]
        head = f"Candidate {trial.number}, {state}\n{operators(trial)}"
        return f"{head}\n{_lines(figures(trial), self._examples(trial))}".rstrip()


def _ends(shown: Metric, values: Mapping[str, float], n: int | None) -> tuple[Any, Any]:
    found = estimates(values, n).get(shown.name)
    return (None, None) if found is None else (shown.shown(found.low), shown.shown(found.high))


def _lines(values: Mapping[str, float], n: int | None) -> str:
    found = estimates(values, n)
    lines = []
    for m in in_order(set(values))[:6]:
        e = found[m.name]
        ends = "" if e.low is None else f" (95 %: {m.text(e.low)} to {m.text(e.high)})"
        lines.append(f"{m.label}: {m.spoken(e.value)}{ends}")
    return "\n".join(lines)


def flattened(settings: Mapping[str, Any], path: str = "") -> list[tuple[str, str]]:
    """Nested settings as pairs of a dotted path and a value."""
    rows: list[tuple[str, str]] = []
    for key, value in settings.items():
        below = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping) and value:
            rows += flattened(value, below)
        elif _nested(value):
            for k, item in enumerate(value):
                rows += flattened(item, f"{below}[{k}]")
        else:
            rows.append((below, value if isinstance(value, str) else json.dumps(value)))
    return rows


def _nested(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) > 0
        and all(isinstance(item, Mapping) for item in value)
    )
