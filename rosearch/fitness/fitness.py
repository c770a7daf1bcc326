"""Fitness: from a student's metrics to a score, and from scores to an order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from rosearch.errors import EvaluationError
from rosearch.fitness.pareto import crowding_distance, non_dominated_ranks, pareto_front
from rosearch.fitness.terms import (
    Direction,
    FitnessTerm,
    KnownMetrics,
    Metrics,
    fitness_terms,
)

Bounds: TypeAlias = "tuple[float | None, float | None]"
"""Lowest and highest allowed value, both included; ``None`` leaves that side open."""


@dataclass(frozen=True)
class Score:
    """How good one candidate is.

    Attributes:
        values: One number an objective, in the unit and direction of ``directions``. A weighted
            fitness has one objective, the weighted sum.
        directions: ``"maximize"`` or ``"minimize"``, one an objective.
        terms: The terms as they were measured, by name, those of the constraints included.
        feasible: Whether every constraint holds.
        violation: Sum over the constraints of how far the value is outside, relative to the
            bound (absolute where the bound is 0); 0 when feasible.
    """

    values: tuple[float, ...]
    directions: tuple[Direction, ...]
    terms: Mapping[str, float]
    feasible: bool
    violation: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data that JSON can hold; :meth:`from_dict` reads it."""
        return {
            "values": list(self.values),
            "directions": list(self.directions),
            "terms": dict(self.terms),
            "feasible": self.feasible,
            "violation": self.violation,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Score:
        """The score that :meth:`to_dict` wrote."""
        return cls(
            values=tuple(data["values"]),
            directions=tuple(data["directions"]),
            terms=dict(data["terms"]),
            feasible=bool(data["feasible"]),
            violation=float(data["violation"]),
        )


class Fitness:
    """What a search is after: a weighted sum of terms, or several objectives at once.

    ``Fitness({"robustness": 1.0, "accuracy": 1.0})`` maximises the sum of weight times
    scaled term; each term's class says how it is scaled. ``Fitness.pareto([...])`` keeps the
    terms apart. Constraints come first in both: a candidate that breaks one ranks below every
    candidate that breaks none, and among the breakers the smaller violation wins (Deb 2000, "An
    efficient constraint handling method for genetic algorithms", section 3).

    Args:
        weights: Weight of each term by its registered name. A negative weight turns the
            term's direction round, a weight of 0 only records it (it is not scaled).
        constraints: Bounds by term name, ``(lowest, highest)``, both included, ``None`` for
            an open side: ``{"compression": (4.6, None), "accuracy": (0.8, None)}``. They are
            in the unit in which the term is measured.

    Raises:
        RegistryError: A term is unknown; the message lists those there are.
        ValueError: There is no term, a weight is not finite, all are 0, or a bound is wrong.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        *,
        constraints: Mapping[str, Bounds] | None = None,
    ) -> None:
        if not isinstance(weights, Mapping):
            raise ValueError(
                f"Expected weights by term name, such as {{'robustness': 1.0}}, got {weights!r}. "
                f"For several objectives without weights use Fitness.pareto([...])."
            )
        for name, weight in weights.items():
            if not _is_number(weight) or not math.isfinite(weight):
                raise ValueError(f"The weight of {name!r} must be a finite number, got {weight!r}.")
        if not any(weights.values()):
            raise ValueError("Expected at least one term with a weight other than 0.")
        self._weights: dict[str, float] | None = {k: float(w) for k, w in weights.items()}
        self._set_up(weights, constraints)

    @classmethod
    def pareto(
        cls,
        terms: Iterable[str],
        *,
        constraints: Mapping[str, Bounds] | None = None,
    ) -> Fitness:
        """Several objectives, compared by Pareto rank and crowding distance.

        Args:
            terms: Registered names, the one you care for most first: the ``best`` of a
                search is the front's candidate with the best first objective.
            constraints: As for the weighted sum.

        Raises:
            RegistryError: A term is unknown; the message lists those there are.
            ValueError: There is no term, one is there twice, or a bound is wrong.
        """
        names = [terms] if isinstance(terms, str) else list(terms)
        if not names or len(set(names)) != len(names):
            raise ValueError(f"Expected one or more different fitness terms, got {names!r}.")
        self = cls.__new__(cls)
        self._weights = None
        self._set_up(names, constraints)
        return self

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Fitness:
        """The fitness that :attr:`settings` describes, as studies keep it.

        Raises:
            RegistryError: A term is not registered here: import the module that defines it.
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
            name: fitness_terms.get(name)() for name in dict.fromkeys((*self._names, *self._bounds))
        }

    @property
    def is_pareto(self) -> bool:
        """Whether there are several objectives instead of a weighted sum."""
        return self._weights is None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the objectives: the terms, or ``("fitness",)`` for a weighted sum."""
        return self._names if self.is_pareto else ("fitness",)

    @property
    def directions(self) -> tuple[Direction, ...]:
        """``"maximize"`` or ``"minimize"``, one an objective."""
        if self._weights is not None:
            return ("maximize",)
        return tuple(self._terms[name].direction for name in self._names)

    @property
    def constraints(self) -> dict[str, Bounds]:
        """Bounds by term name; empty where there are none."""
        return dict(self._bounds)

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that a score depends on, as plain data."""
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
            metrics: What the evaluation gave, numbers by name.

        Raises:
            EvaluationError: A metric that a term reads is missing, NaN or infinite.
        """
        guarded = Metrics(metrics)
        values: dict[str, float] = {}
        for name, term in self._terms.items():
            value = term.value(guarded)
            if not _is_number(value) or not math.isfinite(value):
                raise EvaluationError(
                    f"The fitness term {name!r} needs a finite number, the metric "
                    f"{term.metric!r} gave {value!r}."
                )
            values[name] = float(value)
        if self._weights is None:
            objectives = tuple(values[name] for name in self._names)
        else:
            total = sum(
                weight * self._terms[name].scaled(values[name])
                for name, weight in self._weights.items()
                if weight
            )
            if not math.isfinite(total):
                raise EvaluationError(f"The weighted sum of {values} is {total!r}, not finite.")
            objectives = (float(total),)
        violation = sum(_violation(values[name], b) for name, b in self._bounds.items())
        return Score(objectives, self.directions, values, violation == 0, float(violation))

    def known_violation(self, metrics: Mapping[str, float]) -> float:
        """Violation of those constraints that read nothing but ``metrics``.

        Args:
            metrics: Some of an evaluation's metrics, such as those known before training.

        Returns:
            A sum as in :attr:`Score.violation`; 0 where no constraint can be told yet.
        """
        known = KnownMetrics(metrics)
        total = 0.0
        for name, bounds in self._bounds.items():
            try:
                value = self._terms[name].value(known)
            except EvaluationError:
                continue  # it reads a metric that is not known yet
            if _is_number(value):
                total += _violation(float(value), bounds)
        return total

    def front(self, scores: Sequence[Score]) -> npt.NDArray[np.bool_]:
        """Which candidates are feasible and dominated by no other feasible candidate.

        The comparison is over the objectives of a Pareto fitness, and over the terms of a
        weighted sum, each in the direction that its weight asks for; so the best of a
        weighted search lies on its front.

        Returns:
            Mask of shape ``(len(scores),)``.
        """
        mask = np.array([score.feasible for score in scores], dtype=bool)
        if mask.any():
            points = np.array([self._point(s) for s in scores if s.feasible])
            mask[mask] = pareto_front(points)
        return mask

    def _point(self, score: Score) -> list[float]:
        if self._weights is None:
            return _maximised(score)
        return [
            weight * self._terms[name].scaled(score.terms[name])
            for name, weight in self._weights.items()
            if weight
        ]

    def __repr__(self) -> str:
        bounds = f", constraints={self._bounds!r}" if self._bounds else ""
        if self._weights is None:
            return f"Fitness.pareto({list(self._names)!r}{bounds})"
        return f"Fitness({self._weights!r}{bounds})"


def rank_order(scores: Sequence[Score]) -> list[int]:
    """Positions of ``scores`` from best to worst.

    Feasible before infeasible; the infeasible by violation; the feasible by value, or by
    Pareto rank and then crowding distance where there are several objectives. Ties keep
    their order.
    """
    feasible = [i for i, score in enumerate(scores) if score.feasible]
    infeasible = [i for i, score in enumerate(scores) if not score.feasible]
    infeasible.sort(key=lambda i: scores[i].violation)
    if feasible:
        points = np.array([_maximised(scores[i]) for i in feasible])
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
    """Position of the one candidate to show first.

    The feasible candidate with the best first objective; ties go to the next objective, then to
    the earlier candidate. That candidate is on the Pareto front. Where nothing is feasible it is
    the candidate with the smallest violation.

    Raises:
        ValueError: ``scores`` is empty.
    """
    if not scores:
        raise ValueError("Expected at least one score, got none.")

    def key(i: int) -> tuple[Any, ...]:
        score = scores[i]
        return (not score.feasible, score.violation, [-v for v in _maximised(score)], i)

    return min(range(len(scores)), key=key)


def _maximised(score: Score) -> list[float]:
    return [
        value if direction == "maximize" else -value
        for value, direction in zip(score.values, score.directions, strict=True)
    ]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _bounds(name: str, bounds: Any) -> Bounds:
    if not isinstance(bounds, (tuple, list)) or len(bounds) != 2:
        raise ValueError(
            f"The constraint on {name!r} is (lowest, highest) with None for an open side, "
            f"got {bounds!r}."
        )
    low, high = (None if b is None else float(b) if _is_number(b) else math.nan for b in bounds)
    if any(b is not None and not math.isfinite(b) for b in (low, high)):
        raise ValueError(
            f"The bounds on {name!r} must be finite numbers or None, got {tuple(bounds)!r}."
        )
    if low is None and high is None:
        raise ValueError(f"The constraint on {name!r} has no bound; leave it out.")
    if low is not None and high is not None and low > high:
        raise ValueError(f"The constraint on {name!r} allows nothing: {low} is above {high}.")
    return (low, high)


def _violation(value: float, bounds: Bounds) -> float:
    low, high = bounds
    if low is not None and value < low:
        return (low - value) / (abs(low) or 1.0)
    if high is not None and value > high:
        return (value - high) / (abs(high) or 1.0)
    return 0.0
