"""Fitness terms: what they read, how they are scaled, how new ones are added."""

from __future__ import annotations

import inspect
import math
import textwrap

import pytest

from rosearch.errors import EvaluationError, RegistryError
from rosearch.fitness import Fitness, FitnessTerm, fitness_terms

METRICS = {
    "accuracy": 0.8,
    "accuracy_under_attack": 0.3,
    "compression": 8.0,
    "parameters": 1e6,
    "flops": 1e9,
    "latency": 0.01,
}


@pytest.mark.parametrize(
    ("name", "metric", "direction", "scaled"),
    [
        ("robustness", "accuracy_under_attack", "maximize", 0.3),
        ("accuracy", "accuracy", "maximize", 0.8),
        ("compression", "compression", "maximize", 3.0),
        ("parameters", "parameters", "minimize", -6.0),
        ("flops", "flops", "minimize", -9.0),
        ("latency", "latency", "minimize", 2.0),
    ],
)
def test_built_in_terms(name, metric, direction, scaled):
    term = fitness_terms.get(name)()
    assert (term.metric, term.direction) == (metric, direction)
    assert term.value(METRICS) == METRICS[metric]
    assert term.scaled(METRICS[metric]) == pytest.approx(scaled)


@pytest.mark.parametrize("name", fitness_terms.names())
def test_better_is_larger_once_scaled(name):
    term = fitness_terms.get(name)()
    better, worse = (0.6, 0.5) if term.direction == "maximize" else (0.5, 0.6)
    assert term.scaled(better) > term.scaled(worse)


@pytest.mark.parametrize("name", ["compression", "parameters", "flops", "latency"])
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_logarithm_needs_a_positive_value(name, value):
    with pytest.raises(EvaluationError, match="above 0"):
        fitness_terms.get(name)().scaled(value)


@pytest.mark.parametrize(
    ("metric", "term"),
    [("accuracy_under_attack", "robustness"), ("worst_class_under_attack", "worst_class")],
)
def test_a_metric_points_at_the_term_that_measures_it(metric, term):
    said = f"no fitness term named '{metric}': that is a metric.*'{term}'"
    with pytest.raises(RegistryError, match=said):
        Fitness({metric: 1.0})
    with pytest.raises(RegistryError, match=said):
        Fitness.pareto(["accuracy"], constraints={metric: (0.5, None)})


def test_a_term_of_ones_own():
    @fitness_terms.register("gap")
    class Gap(FitnessTerm):
        metric = "accuracy"
        direction = "minimize"

        def value(self, metrics):
            return metrics["accuracy"] - metrics["accuracy_under_attack"]

    try:
        score = Fitness({"gap": 2.0, "accuracy": 1.0}).score(METRICS)
        assert math.isclose(score.values[0], 0.8 - 2 * 0.5)
        with pytest.raises(EvaluationError, match=r"'accuracy_under_attack'.*returned accuracy"):
            Fitness.pareto(["gap"]).score({"accuracy": 0.8})
    finally:
        fitness_terms.unregister("gap")


def test_a_term_of_weight_zero_is_recorded_and_not_scaled():
    score = Fitness({"accuracy": 1.0, "latency": 0.0}).score(METRICS | {"latency": 0.0})
    assert score.values == (0.8,)
    assert score.terms == {"accuracy": 0.8, "latency": 0.0}
    with pytest.raises(EvaluationError, match="above 0"):
        Fitness({"accuracy": 1.0, "latency": 0.1}).score(METRICS | {"latency": 0.0})


@pytest.mark.parametrize("read", ["some", "all"])
def test_a_term_of_several_metrics_is_known_when_all_of_them_are(read):
    @fitness_terms.register("gap")
    class Gap(FitnessTerm):
        metric = "accuracy"
        direction = "minimize"

        def value(self, metrics):
            if read == "all":
                return sum(metrics.values())
            return metrics["accuracy"] - metrics.get("accuracy_under_attack", 0.0)

    try:
        fitness = Fitness({"accuracy": 1.0}, constraints={"gap": (None, 0.1)})
        assert fitness.known_violation({"accuracy": 0.8}) == 0
        known = fitness.known_violation({"accuracy": 0.8, "accuracy_under_attack": 0.5})
        assert known == (0 if read == "all" else pytest.approx(2.0))
    finally:
        fitness_terms.unregister("gap")


def test_the_example_in_the_docstring_takes_no_queries():
    """Runs the documented lines themselves."""
    import rosearch as rs

    lines = inspect.getdoc(FitnessTerm).split("::\n\n")[1].split("\n\nAttributes")[0]
    try:
        exec(textwrap.dedent(lines), {"rs": rs, "math": math})
        fitness = Fitness({"queries": 1.0})
        assert fitness.score({"mean_queries": 0.0}).values == (0.0,)
        assert fitness.score({"mean_queries": 99.0}).values == pytest.approx((2.0,))
    finally:
        fitness_terms.unregister("queries")


@pytest.mark.parametrize(
    ("item", "complaint"),
    [
        (lambda metrics: 1.0, "subclass of FitnessTerm"),
        (type("NoMetric", (FitnessTerm,), {"direction": "maximize"}), "metric"),
        (type("NoWay", (FitnessTerm,), {"metric": "x", "direction": "up"}), "direction"),
    ],
)
def test_what_is_no_term_is_refused(item, complaint):
    with pytest.raises(RegistryError, match=complaint):
        fitness_terms.register("broken")(item)
    assert "broken" not in fitness_terms
