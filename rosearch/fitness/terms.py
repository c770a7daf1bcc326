"""Fitness terms: the metric, direction and scaling of each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from rosearch.errors import EvaluationError, RegistryError
from rosearch.registry import Registry

Direction = Literal["maximize", "minimize"]


class FitnessTerm:
    """One term of a fitness.

    A subclass sets its metric and direction. It may override :meth:`value` to combine several
    metrics, and :meth:`scaled` to scale it in a weighted sum::

        @rs.fitness_terms.register("queries")
        class Queries(rs.FitnessTerm):
            metric = "mean_queries"
            direction = "maximize"

            def scaled(self, value: float) -> float:
                return math.log10(1 + value)  # 0 queries if no text was attacked

    Attributes:
        metric: The metric that :meth:`value` reads.
        direction: ``"maximize"`` or ``"minimize"`` the measured value.
    """

    metric: ClassVar[str]
    direction: ClassVar[Direction]

    def value(self, metrics: Mapping[str, float]) -> float:
        """The measured value, in the unit of the metric.

        Args:
            metrics: Metrics of the evaluation by name. A missing key raises an
                :class:`~rosearch.errors.EvaluationError` that lists the available ones.
        """
        return float(metrics[self.metric])

    def scaled(self, value: float) -> float:
        """``value`` as a summand of a weighted sum: larger is better, with a range of about one.

        Default: ``value`` itself, negated if the direction is ``"minimize"``.
        """
        return value if self.direction == "maximize" else -value


class _LogTerm(FitnessTerm):
    """A positive quantity on a logarithmic scale."""

    logarithm = staticmethod(math.log10)

    def scaled(self, value: float) -> float:
        if not value > 0:
            raise EvaluationError(
                f"{self.metric} must be above 0, since a weighted sum uses its logarithm, got "
                f"{value!r}."
            )
        return super().scaled(self.logarithm(value))


def _check(item: object) -> str | None:
    if not (isinstance(item, type) and issubclass(item, FitnessTerm)):
        return "expected a subclass of FitnessTerm."
    if not isinstance(getattr(item, "metric", None), str):
        return "set its class attribute metric to the name of a metric."
    if getattr(item, "direction", None) not in ("maximize", "minimize"):
        return 'set its class attribute direction to "maximize" or "minimize".'
    return None


fitness_terms: Registry[type[FitnessTerm]] = Registry(
    "fitness term", group="rosearch.fitness_terms", check=_check
)
"""All fitness terms by name."""


def find_term(name: str) -> type[FitnessTerm]:
    """The fitness term of this name.

    Raises:
        RegistryError: There is none; the message names the term that measures a metric of that
            name, or lists all.
    """
    measuring = [known for known in fitness_terms if fitness_terms.get(known).metric == name]
    if name not in fitness_terms and measuring:
        raise RegistryError(
            f"There is no fitness term named {name!r}: that is a metric. Use the term that "
            f"measures it, {' or '.join(map(repr, measuring))}."
        )
    return fitness_terms.get(name)


@fitness_terms.register("robustness")
class Robustness(FitnessTerm):
    """Accuracy under attack, from 0 to 1; not scaled in a weighted sum."""

    metric = "accuracy_under_attack"
    direction = "maximize"


@fitness_terms.register("worst_class")
class WorstClass(FitnessTerm):
    """Smallest accuracy under attack of any class, from 0 to 1; not scaled in a weighted sum.

    A constant classifier survives every attack on half of the examples of a balanced task. Its
    ``worst_class`` is 0, so the constraint ``constraints={"worst_class": (0.2, None)}`` excludes
    such students. It is also 0 if a class has no attacked example: attack enough examples.
    """

    metric = "worst_class_under_attack"
    direction = "maximize"


@fitness_terms.register("certified")
class Certified(FitnessTerm):
    """Share of texts that no combination of substitutions breaks; not scaled in a weighted sum.

    It needs ``RobustnessEvaluator(..., certify=True)``.
    """

    metric = "certified"
    direction = "maximize"


@fitness_terms.register("accuracy")
class Accuracy(FitnessTerm):
    """Accuracy on clean texts, from 0 to 1; not scaled in a weighted sum."""

    metric = "accuracy"
    direction = "maximize"


@fitness_terms.register("compression")
class Compression(_LogTerm):
    """Number of the teacher's parameters divided by the student's.

    A weighted sum uses its binary logarithm, so halving the size is worth the same at every size.
    With a weight of 0.1, a student of twice the size must be more accurate by 0.1.
    """

    metric = "compression"
    direction = "maximize"
    logarithm = staticmethod(math.log2)


@fitness_terms.register("parameters")
class Parameters(_LogTerm):
    """Number of parameters; a weighted sum uses minus its decimal logarithm."""

    metric = "parameters"
    direction = "minimize"


@fitness_terms.register("flops")
class Flops(_LogTerm):
    """Floating-point operations for one text; a weighted sum uses minus the decimal logarithm."""

    metric = "flops"
    direction = "minimize"


@fitness_terms.register("latency")
class Latency(_LogTerm):
    """Seconds for one text; a weighted sum uses minus the decimal logarithm."""

    metric = "latency"
    direction = "minimize"


class Metrics(Mapping[str, float]):
    """Metrics of an evaluation, with an error that lists the keys if one is missing."""

    def __init__(self, metrics: Mapping[str, float]) -> None:
        self._metrics = metrics

    def __getitem__(self, key: str) -> float:
        try:
            return self._metrics[key]
        except KeyError:
            raise EvaluationError(
                f"The fitness needs the metric {key!r}, and the evaluation returned "
                f"{', '.join(sorted(map(str, self._metrics))) or 'none'}. Return it from evaluate, "
                f"or omit the fitness term."
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._metrics)

    def __len__(self) -> int:
        return len(self._metrics)


class KnownMetrics(Metrics):
    """Some metrics of an evaluation; iterating over all of them raises an error."""

    def __iter__(self) -> Iterator[str]:
        raise EvaluationError("Not all metrics are known yet.")

    def __len__(self) -> int:
        raise EvaluationError("Not all metrics are known yet.")
