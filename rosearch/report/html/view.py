"""The contents of a report, as plain values for the templates."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from rosearch.evolve import SearchResult, TrialRecord
from rosearch.report.html.charts import Mark, Point, PointChart, point_chart
from rosearch.report.html.compare import Compared, attacked_examples, estimates
from rosearch.report.metrics import Estimate, in_order
from rosearch.report.quantities import Quantities

_SHAPES = {
    "best": "best",
    "front": "on the front",
    "candidate": "candidate",
    "infeasible": "breaks a constraint",
    "stopped": "stopped early",
}
"""Legend of the marks, topmost first."""

_ORDER = "Candidate (order of proposal)"
_MAX_LINES = 6
"""Maximum number of metrics in a tooltip."""


def operators(trial: TrialRecord) -> str:
    """The encodings of a genome, then its operators with their counts."""
    counted = Counter(node.operator for node in trial.genome.nodes)
    named = [
        name if n == 1 else f"{name} \N{MULTIPLICATION SIGN} {n}" for name, n in counted.items()
    ]
    network = ", ".join(named) or "bag of words"
    return " \N{RIGHTWARDS ARROW} ".join([*map(str, trial.genome.encodings), network])


class View:
    """A study in the form that the report shows.

    Args:
        search: The study.
        compared: Models to compare its students with, by name.
    """

    def __init__(self, search: SearchResult, compared: Mapping[str, Compared]) -> None:
        self.search = search
        self.compared = compared
        self.scored = [(t, t.score) for t in search.trials if t.score is not None]
        self.best = search.best if self.scored else None
        self.front = {t.number for t in search.front}
        self.n = attacked_examples(search.settings)
        self.quantities = Quantities(search)
        self.metrics = self.quantities.all
        self.states = Counter(t.state for t in search.trials)
        # By rung: below the last, metrics are of fewer epochs or examples.
        self.stopped = Counter(t.rung for t in search.trials if t.state == "stopped")
        self.marks = self._marks()

    @property
    def legend(self) -> list[tuple[str, str]]:
        """The kinds of marks in the charts, with their meaning."""
        there = {self.kind(t) for t, _ in self.scored}
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

    def front_chart(self) -> PointChart | None:
        """The candidates over the first two quantities that the fitness asks for."""
        axes = self.quantities.axes
        if axes is None:
            return None
        x, y = axes
        points = []
        for mark in self.marks:
            across, height = mark.figures.get(x.name), mark.figures.get(y.name)
            at = None if across is None else x.shown(across.value)
            points.append(Point(mark, at, None if height is None else y.scaled(height)))
        return point_chart(f"{y.title} of the candidates over {x.title}", x.axis, y.axis, points)

    def data(self) -> dict[str, Any]:
        """Data with which the script changes the axes of the front."""
        marks = {}
        for mark in self.marks:
            there = [m for m in self.metrics if m.name in mark.figures]
            shown = {m.name: m.scaled(mark.figures[m.name]) for m in there}
            marks[mark.number] = {
                "v": {name: e.value for name, e in shown.items()},
                "i": {name: [e.low, e.high] for name, e in shown.items() if e.low is not None},
            }
        axes = {m.name: [m.axis, m.title] for m in self.metrics}
        return {"axes": axes, "marks": marks}

    def history_charts(self) -> list[PointChart]:
        """Each objective over the trial number, with the best so far."""
        charts = []
        for k in range(len(self.scored[0][1].values) if self.scored else 0):
            shown = self.quantities.objective(k)
            points, steps = [], []
            best = -math.inf
            for trial, score in self.scored:
                value = shown.shown(score.values[k])
                points.append(self._point(trial, value))
                gain = score.values[k] if score.directions[k] == "maximize" else -score.values[k]
                if trial.state == "complete" and score.feasible and gain > best:
                    best = gain
                    steps.append((float(trial.number), value))
            if steps:
                steps.append((float(self.scored[-1][0].number), steps[-1][1]))
            title = f"{shown.label} of each candidate, and the best so far as a line"
            charts.append(point_chart(title, _ORDER, shown.axis, points, steps=steps))
        return charts

    def seconds_chart(self) -> PointChart | None:
        """The wall time of each candidate."""
        points = [self._point(t, t.seconds) for t in self.search.trials if t.seconds is not None]
        if len(points) < 2:
            return None
        return point_chart("Seconds of each candidate", _ORDER, "Time (s)", points)

    def _point(self, trial: TrialRecord, value: float) -> Point:
        return Point(self._mark(trial), trial.number, Estimate(value))

    def _mark(self, trial: TrialRecord) -> Mark:
        kind = self.kind(trial)
        state = trial.state if trial.score is None else _SHAPES[kind]
        found = estimates(self.quantities.of(trial), self.n if trial.state == "complete" else None)
        text = (
            f"Candidate {trial.number}, {state}\n{operators(trial)}\n{self._lines(found)}".rstrip()
        )
        return Mark(kind, text, found, str(trial.number))

    def _marks(self) -> list[Mark]:
        """The marks of the front, the topmost last."""
        order = list(reversed(_SHAPES))
        marks = [self._mark(trial) for trial, _ in self.scored]
        marks.sort(key=lambda mark: order.index(mark.kind))
        for k, (name, given) in enumerate(self.compared.items()):
            if isinstance(given, TrialRecord):
                mark = self._mark(given)
                text, found = mark.text, mark.figures
            elif isinstance(given, Mapping):
                found = estimates(given, None)
                text = self._lines(found)
            else:
                continue
            marks.append(Mark("other", f"{name}\n{text}", found, f"c{k}", name))
        return marks

    def _lines(self, found: Mapping[str, Estimate]) -> str:
        known = [m for m in self.metrics if m.name in found]
        others = in_order(set(found) - {m.name for m in known})
        shown = [*known, *others][:_MAX_LINES]
        return "\n".join(f"{m.title}: {m.interval_text(found[m.name])}" for m in shown)


def flattened(value: Any, path: str = "") -> list[tuple[str, str]]:
    """Nested settings as pairs of a dotted path and a value."""
    if isinstance(value, Mapping) and (value or not path):
        items = [(f"{path}.{key}".removeprefix("."), item) for key, item in value.items()]
    elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
        items = [(f"{path}[{k}]", item) for k, item in enumerate(value)]
    else:
        return [(path, value if isinstance(value, str) else json.dumps(value))]
    return [row for below, item in items for row in flattened(item, below)]
