"""Fitness terms: one figure of a student each, where it comes from and which way is better."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from rosearch.errors import EvaluationError
from rosearch.registry import Registry

Direction = Literal["maximize", "minimize"]


class FitnessTerm:
    """One thing that is wanted of a student.

    A subclass names its metric and direction. That is all a term needs; it may also override
    :meth:`value` to combine several metrics, and :meth:`scaled` to set its unit in a weighted sum::

        @rs.fitness_terms.register("queries")
        class Queries(rs.FitnessTerm):
            metric = "mean_queries"
            direction = "maximize"

            def scaled(self, value: float) -> float:
                return math.log10(1 + value)  # no text attacked: 0 queries

    Attributes:
        metric: Key of the evaluation's metrics that :meth:`value` reads.
        direction: ``"maximize"`` or ``"minimize"``, of the value as it is measured.
    """

    metric: ClassVar[str]
    direction: ClassVar[Direction]

    def value(self, metrics: Mapping[str, float]) -> float:
        """The figure as it is measured, in the metric's own unit.

        Args:
            metrics: What the evaluation gave. A key that is not there raises an
                :class:`~rosearch.errors.EvaluationError` that lists those there are.
        """
        return float(metrics[self.metric])

    def scaled(self, value: float) -> float:
        """``value`` as it enters a weighted sum: larger is better, about one unit wide.

        Default: ``value`` itself, negated when the direction is ``"minimize"``.
        """
        return value if self.direction == "maximize" else -value


class _LogTerm(FitnessTerm):
    """A positive quantity in which ratios matter, not differences."""

    def scaled(self, value: float) -> float:
        if not value > 0:
            raise EvaluationError(
                f"{self.metric} enters a weighted sum by its logarithm and must be above 0, "
                f"got {value!r}."
            )
        logarithm = math.log10(value)
        return logarithm if self.direction == "maximize" else -logarithm


def _check(item: object) -> str | None:
    if not (isinstance(item, type) and issubclass(item, FitnessTerm)):
        return "expected a subclass of FitnessTerm."
    if not isinstance(getattr(item, "metric", None), str):
        return "set its class attribute metric to a key of the evaluation's metrics."
    if getattr(item, "direction", None) not in ("maximize", "minimize"):
        return 'set its class attribute direction to "maximize" or "minimize".'
    return None


fitness_terms: Registry[type[FitnessTerm]] = Registry(
    "fitness term", group="rosearch.fitness_terms", check=_check
)
"""All fitness terms by name."""


@fitness_terms.register("robustness")
class Robustness(FitnessTerm):
    """Accuracy under attack, a share from 0 to 1; enters a weighted sum as it is."""

    metric = "accuracy_under_attack"
    direction = "maximize"


@fitness_terms.register("worst_class")
class WorstClass(FitnessTerm):
    """Accuracy under attack on the class that fares worst, a share from 0 to 1, as it is.

    No attack changes the answer of a student that hardly looks at its input, so half of the
    examples of a balanced task stand for it. This term is 0 there, and so tells both apart; as a
    constraint, ``constraints={"worst_class": (0.2, None)}``, it keeps such students out of a
    search. It is 0, too, where a class has no attacked example: attack enough of them.
    """

    metric = "worst_class_under_attack"
    direction = "maximize"


@fitness_terms.register("accuracy")
class Accuracy(FitnessTerm):
    """Accuracy on clean texts, a share from 0 to 1; enters a weighted sum as it is."""

    metric = "accuracy"
    direction = "maximize"


@fitness_terms.register("compression")
class Compression(FitnessTerm):
    """Teacher's parameters divided by the student's.

    Enters a weighted sum as its binary logarithm: to halve a student is worth the same at
    every size. A weight of 0.1 lets 0.1 of accuracy pay for a student of twice the size.
    """

    metric = "compression"
    direction = "maximize"

    def scaled(self, value: float) -> float:
        if not value > 0:
            raise EvaluationError(f"compression must be above 0, got {value!r}.")
        return math.log2(value)


@fitness_terms.register("parameters")
class Parameters(_LogTerm):
    """Number of parameters; enters a weighted sum as minus its decimal logarithm.

    Students differ by factors, so a tenth of the size is one unit.
    """

    metric = "parameters"
    direction = "minimize"


@fitness_terms.register("flops")
class Flops(_LogTerm):
    """Floating-point operations for one text; in a weighted sum minus the decimal logarithm."""

    metric = "flops"
    direction = "minimize"


@fitness_terms.register("latency")
class Latency(_LogTerm):
    """Seconds for one text; in a weighted sum minus the decimal logarithm."""

    metric = "latency"
    direction = "minimize"


class Metrics(Mapping[str, float]):
    """An evaluation's metrics, with an error that lists the keys when one is missing."""

    def __init__(self, metrics: Mapping[str, float]) -> None:
        self._metrics = metrics

    def __getitem__(self, key: str) -> float:
        try:
            return self._metrics[key]
        except KeyError:
            raise EvaluationError(
                f"The fitness reads the metric {key!r}, which the evaluation did not give. "
                f"It gave {', '.join(sorted(map(str, self._metrics))) or 'nothing'}. Return that "
                f"key from evaluate, or leave out the fitness term that reads it."
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._metrics)

    def __len__(self) -> int:
        return len(self._metrics)


class KnownMetrics(Metrics):
    """Some of an evaluation's metrics; what would look for others is refused."""

    def __iter__(self) -> Iterator[str]:
        raise EvaluationError("Not all metrics are known yet.")

    def __len__(self) -> int:
        raise EvaluationError("Not all metrics are known yet.")
