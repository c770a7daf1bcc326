"""What is known of the candidates of a study, in the order in which its fitness asks for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rosearch.evolve import SearchResult, TrialRecord
from rosearch.fitness import wanted_first
from rosearch.report.metrics import FITNESS, Better, Metric, in_order, metric

_BESIDE = ("accuracy_under_attack", "accuracy", "compression", "parameters", "flops", "latency")
"""What stands beside the term of a fitness that has only one, the most wanted first."""


class Quantities:
    """The metrics of a study's candidates, the terms of its fitness among them.

    Attributes:
        asked: What the fitness asks for, each once: its objectives, those of the largest absolute
            weight first, then what it constrains, then terms of weight 0. Empty if the study's
            settings are unknown.
        all: Everything that at least one candidate has: the fitness, ``asked``, other metrics.
    """

    def __init__(self, search: SearchResult) -> None:
        self._scored = [(t, t.score) for t in search.trials if t.score is not None]
        fitness: Mapping[str, Any] = search.settings.get("fitness", {})
        weights = fitness.get("weights") or dict.fromkeys(fitness.get("objectives", ()), 1.0)
        names = wanted_first(fitness)
        self._objectives = tuple(fitness.get("objectives", (FITNESS,)))
        self._terms = {name: self._term(name, fitness, weights.get(name, 0)) for name in names}
        self.asked = tuple({term.name: term for term in self._terms.values()}.values())
        there = {name for trial, _ in self._scored for name in self.of(trial)}
        first = [metric(FITNESS), *self.asked]
        rest = there - {m.name for m in first}
        self.all = tuple([m for m in first if m.name in there] + in_order(rest))

    def of(self, trial: TrialRecord) -> dict[str, float]:
        """The finite metrics of a trial, its terms that are no metric, and its fitness."""
        found = {k: float(v) for k, v in trial.metrics.items() if math.isfinite(v)}
        if trial.score is not None:
            own = {m.name: name for name, m in self._terms.items() if m.name not in found}
            found |= {k: trial.score.terms[v] for k, v in own.items() if v in trial.score.terms}
            if len(trial.score.values) == 1:
                found[FITNESS] = trial.score.values[0]
        return found

    def find(self, name: str) -> Metric:
        """The term or the metric of that name."""
        return self._terms.get(name) or {m.name: m for m in self.asked}.get(name) or metric(name)

    def objective(self, k: int) -> Metric:
        """The objective whose values are ``score.values[k]``."""
        known = k < len(self._objectives)
        return self.find(self._objectives[k] if known else f"objective {k + 1}")

    @property
    def wanted_first(self) -> tuple[Metric, ...]:
        """All but the fitness itself: what the fitness asks for, then accuracies and costs."""
        there = {m.name: m for m in self.all if m.name != FITNESS}
        names = dict.fromkeys((*(m.name for m in self.asked), *_BESIDE, *there))
        return tuple(there[name] for name in names if name in there)

    @property
    def axes(self) -> tuple[Metric, Metric] | None:
        """The horizontal and the vertical axis of the front: the second and the first asked for.

        ``None`` if candidates have fewer than two metrics.
        """
        first = self.wanted_first[:2]
        return (first[1], first[0]) if len(first) == 2 else None

    def _term(self, name: str, fitness: Mapping[str, Any], weight: float) -> Metric:
        """The metric that a term is, or that of its own if it combines several."""
        known = fitness.get("terms", {}).get(name, {})
        shown = metric(known.get("metric", name))
        pairs = [(s.terms.get(name), t.metrics.get(shown.name)) for t, s in self._scored]
        if any(value != measured for value, measured in pairs):
            taken = any(name in trial.metrics for trial, _ in self._scored)
            own = f"{name} (term)" if taken else name
            shown = replace(shown, name=own, label=metric(own).label)
        maximized = (known.get("direction") == "maximize") == (weight > 0)
        better: Better = ("higher" if maximized else "lower") if weight else ""
        low, high = fitness.get("constraints", {}).get(name, (None, None))
        return replace(shown, better=better, low=low, high=high)
