"""Fitness of students: scores from metrics, and the order of scores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from rosearch.checks import number, refused
from rosearch.errors import EvaluationError
from rosearch.fitness.pareto import crowding_distance, non_dominated_ranks, pareto_front
from rosearch.fitness.terms import Direction, FitnessTerm, KnownMetrics, Metrics, find_term

Bounds: TypeAlias = "tuple[float | None, float | None]"
"""Minimum and maximum, both allowed; ``None`` for no bound."""


@dataclass(frozen=True)
class Score:
    """The score of one candidate.

    Attributes:
        values: The objectives. A weighted fitness has one objective, the weighted sum.
        directions: ``"maximize"`` or ``"minimize"`` for each objective.
        terms: Measured values of all terms by name, including those of the constraints.
        feasible: Whether all constraints are satisfied.
        violation: Sum over the constraints of the distance to the bound, relative to the bound
            (absolute if the bound is 0); 0 if feasible.
    """

    values: tuple[float, ...]
    directions: tuple[Direction, ...]
    terms: Mapping[str, float]
    feasible: bool
    violation: float

    @property
    def maximized(self) -> tuple[float, ...]:
        """The objectives with those to minimize negated, so that larger is better."""
        pairs = zip(self.values, self.directions, strict=True)
        return tuple(value if way == "maximize" else -value for value, way in pairs)

    def to_dict(self) -> dict[str, Any]:
        """Plain data that JSON can hold; :meth:`from_dict` reads it."""
        return {**vars(self), "values": list(self.values), "directions": list(self.directions)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Score:
        """The score that :meth:`to_dict` wrote."""
        lists = {name: tuple(data[name]) for name in ("values", "directions")}
        return cls(**{**data, **lists})


class Fitness:
    """The objective of a search: a weighted sum of terms, or several objectives.

    ``Fitness({"robustness": 1.0, "accuracy": 1.0})`` maximizes the weighted sum of scaled terms;
    each term's class defines the scaling. ``Fitness.pareto([...])`` keeps the terms apart.
    Constraints come first in both: infeasible candidates rank below all feasible ones, in the order
    of their violation (Deb 2000, "An efficient constraint handling method for genetic algorithms",
    section 3).

    Args:
        weights: Weight of each term by its registered name. A negative weight reverses the
            term's direction; a term of weight 0 is only recorded, not scaled.
        constraints: Bounds ``(minimum, maximum)`` by term name, in the unit of the term, ``None``
            for no bound: ``{"compression": (4.6, None), "accuracy": (0.8, None)}``.

    Raises:
        RegistryError: A term is unknown; the message lists the registered ones.
        ArgumentError: There is no term, a weight is not finite, all are 0, or a bound is wrong.
    """

    def __init__(
        self, weights: Mapping[str, float], *, constraints: Mapping[str, Bounds] | None = None
    ) -> None:
        if not weights or not isinstance(weights, Mapping):
            expected = "a mapping such as {'robustness': 1.0}, or use Fitness.pareto([...])"
            raise refused("weights", expected, weights)
        self._weights: dict[str, float] | None = {
            name: number(f"the weight of {name!r}", weight) for name, weight in weights.items()
        }
        if not any(self._weights.values()):
            raise refused("weights", "other than 0 for at least one term", weights)
        self._set_up(weights, constraints)

    @classmethod
    def pareto(
        cls, terms: Iterable[str], *, constraints: Mapping[str, Bounds] | None = None
    ) -> Fitness:
        """Several objectives, compared by Pareto rank and crowding distance.

        Args:
            terms: Registered names, the most important first: ``best`` of a search result is the
                candidate of the front with the best first objective.
            constraints: As for the weighted sum.

        Raises:
            RegistryError: A term is unknown; the message lists the registered ones.
            ArgumentError: There is no term, one occurs twice, or a bound is wrong.
        """
        names = [terms] if isinstance(terms, str) else list(terms)
        if not names or len(set(names)) != len(names):
            raise refused("terms", "one or more different fitness terms", names)
        self = cls.__new__(cls)
        self._weights = None
        self._set_up(names, constraints)
        return self

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Fitness:
        """The fitness with these :attr:`settings`, as a study stores them.

        Raises:
            RegistryError: A term is not registered: import the module that defines it.
            KeyError: ``settings`` are not those of a fitness.
        """
        constraints = {name: tuple(bounds) for name, bounds in settings["constraints"].items()}
        if settings["kind"] == "pareto":
            return cls.pareto(settings["objectives"], constraints=constraints)
        return cls(settings["weights"], constraints=constraints)

    def _set_up(self, names: Iterable[str], constraints: Mapping[str, Bounds] | None) -> None:
        self._names = tuple(names)
        self._bounds = {name: _bounds(name, b) for name, b in (constraints or {}).items()}
        self._terms: dict[str, FitnessTerm] = {
            name: find_term(name)() for name in dict.fromkeys((*self._names, *self._bounds))
        }

    @property
    def is_pareto(self) -> bool:
        """Whether the objectives are kept apart instead of summed."""
        return self._weights is None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the objectives: the terms, or ``("fitness",)`` for a weighted sum."""
        return self._names if self.is_pareto else ("fitness",)

    @property
    def directions(self) -> tuple[Direction, ...]:
        """``"maximize"`` or ``"minimize"`` for each objective."""
        if self._weights is not None:
            return ("maximize",)
        return tuple(self._terms[name].direction for name in self._names)

    @property
    def constraints(self) -> dict[str, Bounds]:
        """Bounds by term name."""
        return dict(self._bounds)

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that scores depend on, as plain data."""
        data: dict[str, Any] = {"kind": "pareto" if self.is_pareto else "weighted"}
        if self._weights is None:
            data["objectives"] = list(self._names)
        else:
            data["weights"] = dict(self._weights)
        data["terms"] = {
            name: {"metric": term.metric, "direction": term.direction}
            for name, term in self._terms.items()
        }
        data["constraints"] = {name: list(bounds) for name, bounds in self._bounds.items()}
        return data

    def score(self, metrics: Mapping[str, float]) -> Score:
        """The score of one candidate.

        Args:
            metrics: Metrics of the evaluation by name.

        Raises:
            EvaluationError: A metric that a term reads is missing, NaN or infinite.
        """
        guarded = Metrics(metrics)
        values: dict[str, float] = {}
        for name, term in self._terms.items():
            value = term.value(guarded)
            if not _is_number(value) or not math.isfinite(value):
                raise EvaluationError(
                    f"The fitness term {name!r} must be finite, and the metric {term.metric!r} is "
                    f"{value!r}."
                )
            values[name] = float(value)
        if self._weights is None:
            objectives = tuple(values[name] for name in self._names)
        else:
            total = sum(self._weighted(values))
            if not math.isfinite(total):
                raise EvaluationError(f"The weighted sum of {values} is {total!r}, not finite.")
            objectives = (float(total),)
        violation = sum(_violation(values[name], b) for name, b in self._bounds.items())
        return Score(objectives, self.directions, values, violation == 0, float(violation))

    def known_violation(self, metrics: Mapping[str, float]) -> float:
        """Violation of the constraints that only depend on ``metrics``.

        Args:
            metrics: Some of an evaluation's metrics, such as those known before training.

        Returns:
            A sum as in :attr:`Score.violation`.
        """
        known = KnownMetrics(metrics)
        total = 0.0
        for name, bounds in self._bounds.items():
            try:
                value = self._terms[name].value(known)
            except EvaluationError:
                continue  # it needs a metric that is not known yet
            if _is_number(value):
                total += _violation(float(value), bounds)
        return total

    def front(self, scores: Sequence[Score]) -> npt.NDArray[np.bool_]:
        """Which candidates are feasible and not dominated by another feasible candidate.

        Points are the objectives of a Pareto fitness, or the weighted terms of a sum, so the best
        candidate of a weighted search is on the front.

        Returns:
            Mask of shape ``(len(scores),)``.
        """
        mask = np.array([score.feasible for score in scores], dtype=bool)
        if mask.any():
            feasible = [score for score in scores if score.feasible]
            mask[mask] = pareto_front(
                [s.maximized if self.is_pareto else self._weighted(s.terms) for s in feasible]
            )
        return mask

    def _weighted(self, values: Mapping[str, float]) -> list[float]:
        """The summands of a weighted sum."""
        weights = (self._weights or {}).items()
        return [
            weight * self._terms[name].scaled(values[name]) for name, weight in weights if weight
        ]

    def __repr__(self) -> str:
        bounds = f", constraints={self._bounds!r}" if self._bounds else ""
        if self._weights is None:
            return f"Fitness.pareto({list(self._names)!r}{bounds})"
        return f"Fitness({self._weights!r}{bounds})"


def wanted_first(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The terms of a fitness in the order in which it asks for them.

    Its objectives, those of the largest absolute weight first, then what it constrains, then terms
    of weight 0.

    Args:
        settings: Those of a fitness; empty if they are unknown.
    """
    weights = settings.get("weights") or dict.fromkeys(settings.get("objectives", ()), 1.0)
    objectives = sorted(filter(weights.get, weights), key=lambda name: -abs(weights[name]))
    return tuple(dict.fromkeys((*objectives, *settings.get("constraints", {}), *weights)))


def rank_order(scores: Sequence[Score]) -> list[int]:
    """Indices of ``scores`` from best to worst.

    Feasible before infeasible; the infeasible by violation; the feasible by value, or with several
    objectives by Pareto rank and then crowding distance. Ties keep their order.
    """
    feasible = [i for i, score in enumerate(scores) if score.feasible]
    infeasible = [i for i, score in enumerate(scores) if not score.feasible]
    infeasible.sort(key=lambda i: scores[i].violation)
    if feasible:
        points = np.array([scores[i].maximized for i in feasible])
        if points.shape[1] == 1:
            order = np.argsort(-points[:, 0], kind="stable")
        else:
            ranks = non_dominated_ranks(points)
            crowding = np.zeros(len(points))
            for rank in range(int(ranks.max()) + 1):
                crowding[ranks == rank] = crowding_distance(points[ranks == rank])
            order = np.lexsort((-crowding, ranks))
        feasible = [feasible[i] for i in order]
    return feasible + infeasible


def best_index(scores: Sequence[Score]) -> int:
    """Index of the best score.

    The feasible candidate with the best first objective; ties go to the next objective, then to
    the earlier candidate. It is on the Pareto front. If none is feasible, it is the candidate with
    the smallest violation.

    Raises:
        ArgumentError: ``scores`` is empty.
    """
    if not scores:
        raise refused("scores", "at least one score", scores)

    def key(i: int) -> tuple[Any, ...]:
        score = scores[i]
        return (not score.feasible, score.violation, [-v for v in score.maximized], i)

    return min(range(len(scores)), key=key)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _bounds(name: str, bounds: Any) -> Bounds:
    constraint = f"the constraint on {name!r}"
    if not isinstance(bounds, (tuple, list)) or len(bounds) != 2 or all(b is None for b in bounds):
        raise refused(constraint, "(minimum, maximum), one of them may be None", bounds)
    low, high = (number(constraint, b) if b is not None else None for b in bounds)
    if low is not None and high is not None and low > high:
        raise refused(constraint, "a minimum up to the maximum", bounds)
    return (low, high)


def _violation(value: float, bounds: Bounds) -> float:
    low, high = bounds
    if low is not None and value < low:
        return (low - value) / (abs(low) or 1.0)
    if high is not None and value > high:
        return (value - high) / (abs(high) or 1.0)
    return 0.0
