"""The quantities of a study follow what its fitness asks for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rosearch.evolve import SearchResult
from rosearch.fitness import Fitness
from rosearch.report.quantities import Quantities
from tests.report import made_up

pytestmark = pytest.mark.usefixtures("terms")


def axes(fitness):
    """Titles of the horizontal and the vertical axis."""
    found = Quantities(made_up.study(12, fitness)).axes
    return [metric.axis for metric in found]


UNDER, ACCURACY = "Accuracy under attack (%) ↑", "Clean accuracy (%) ↑"


@pytest.mark.parametrize(
    ("fitness", "expected"),
    [
        (lambda: Fitness.pareto(["robustness", "latency"]), ["Latency of one text (ms) ↓", UNDER]),
        (lambda: Fitness.pareto(["flops", "effort"]),
         ["Queries to attack an example ↑", "FLOPs of one text (millions) ↓"]),
        (lambda: Fitness.pareto(["gap", "accuracy", "latency"]), [ACCURACY, "Gap (%) ↓"]),
        (lambda: Fitness.pareto(["seconds", "robustness"]), [UNDER, "Seconds (term) (s) ↓"]),
        (lambda: Fitness({"accuracy": 1, "compression": 0.1, "robustness": 2}), [ACCURACY, UNDER]),
        (lambda: Fitness({"effort": -3, "gap": 1}),
         ["Gap (%) ↓", "Queries to attack an example ↓"]),
        (lambda: Fitness({"accuracy": 0, "robustness": 1}), ["Clean accuracy (%)", UNDER]),
        (lambda: Fitness({"accuracy": 0, "gap": 1}, constraints={"parameters": (None, 9e6)}),
         ["Parameters (millions)", "Gap (%) ↓"]),
        (lambda: Fitness.pareto(["parameters"]),
         ["Accuracy under attack (%)", "Parameters (millions) ↓"]),
    ],
)  # fmt: skip
def test_the_front_has_the_axes_of_the_fitness(fitness, expected):
    assert axes(fitness()) == expected


def test_values_are_those_of_the_terms():
    fitness = Fitness({"gap": 1, "seconds": 1, "effort": 1})
    search = made_up.study(4, fitness)
    trial = search.trials[1]
    found = Quantities(search).of(trial)
    metrics = trial.metrics
    assert found["gap"] == metrics["accuracy"] - metrics["accuracy_under_attack"]
    assert found["seconds"] == metrics["seconds"]
    assert found["seconds (term)"] == metrics["seconds"] ** 2
    assert "effort" not in found
    assert found["fitness"] == trial.score.values[0]


def test_what_the_fitness_asks_for_in_words():
    fitness = Fitness(
        {"robustness": 1, "accuracy": 0},
        constraints={"accuracy": (0.8, None), "latency": (0.001, 0.02)},
    )
    assert [metric.wanted for metric in Quantities(made_up.study(4, fitness)).asked] == [
        "Accuracy under attack (higher is better)",
        "Clean accuracy (at least 80.0 %)",
        "Latency of one text (at least 1.00 ms, at most 20.00 ms)",
    ]


def test_a_study_without_settings_has_the_metrics_that_matter_most():
    search = made_up.study(12)
    bare = SearchResult("bare", search.trials, search.front)
    assert [metric.name for metric in Quantities(bare).axes] == [
        "accuracy",
        "accuracy_under_attack",
    ]
    one = replace(search.trials[0], metrics={"accuracy": 0.5})
    assert Quantities(SearchResult("one", (one,), ())).axes is None


def test_results_made_of_trials_keep_their_fitness():
    fitness = Fitness.pareto(["latency", "compression"])
    trials = made_up.study(4, fitness).trials
    search = SearchResult.from_trials("part", trials, fitness)
    assert [metric.name for metric in Quantities(search).axes] == ["compression", "latency"]
