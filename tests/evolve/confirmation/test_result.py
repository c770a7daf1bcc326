"""Statistics, table and data frame of a confirmation."""

from __future__ import annotations

import math
import statistics

import pytest

from rosearch.evolve import Evolver
from rosearch.fitness import Fitness
from tests.evolve.confirmation.confirmations import (
    Sometimes,
    quiet,
)
from tests.evolve.evaluations import SPACE, synthetic


def test_mean_and_standard_deviation_over_the_runs(search):
    best = quiet(search, synthetic, top=1, seeds=[5, 6, 7]).candidates[0]
    rows = [synthetic(search.best.genome, seed=s) for s in (5, 6, 7)]
    assert [dict(run.metrics) for run in best.runs] == rows
    for name in rows[0]:
        values = [row[name] for row in rows]
        assert best.mean[name] == pytest.approx(statistics.mean(values))
        assert best.std[name] == pytest.approx(statistics.stdev(values))
    assert best.std["accuracy"] > 0
    assert best.searched == search.best.metrics


def test_number_of_feasible_runs():
    fitness = Fitness({"robustness": 1.0}, constraints={"accuracy": (0.65, None)})
    constrained = Evolver(SPACE, synthetic, fitness, population=4).run(12, progress=False)

    def worse(genome, *, seed):
        return synthetic(genome, seed=seed) | {"accuracy": 0.6 + 0.1 * (seed % 2)}

    found = quiet(constrained, worse, top=2, seeds=[1, 2, 3])
    assert [c.feasible for c in found.candidates] == [2, 2]
    assert "feasible" in str(found)
    assert "2/3" in str(found)
    # Nothing can be told without the metric.
    found = quiet(constrained, lambda genome, *, seed: {"accuracy_under_attack": 0.5}, seeds=2)
    assert found.candidates[0].feasible is None
    assert "feasible" not in str(found)


def test_no_feasibility_without_constraints(search):
    found = quiet(search, synthetic, top=1, seeds=2)
    assert found.candidates[0].feasible is None
    assert "feasible" not in str(found)


def test_single_run_has_no_standard_deviation(search):
    best = quiet(search, synthetic, top=1, seeds=1).candidates[0]
    assert best.mean == pytest.approx(dict(best.runs[0].metrics))
    assert all(math.isnan(value) for value in best.std.values())
    assert "nan" not in str(quiet(search, synthetic, top=1, seeds=1))


def test_candidate_without_a_successful_run(search):
    found = quiet(search, Sometimes({5, 6}), top=1, seeds=[5, 6])
    assert found.candidates[0].mean == {}
    assert "0/2" in str(found)
    assert "failed: candidate" in str(found)
    assert found.to_pandas()["failure"].tolist() == [
        "RuntimeError: out of luck with 5",
        "RuntimeError: out of luck with 6",
    ]


def test_table_and_data_frame(search):
    found = quiet(search, synthetic, top=2, seeds=3)
    lines = str(found).splitlines()
    assert "accuracy_under_attack" in lines[1]
    assert lines[2].startswith(found.candidates[0].name)
    assert "3/3" in lines[2]
    mean, std = (s["accuracy"] for s in (found.candidates[0].mean, found.candidates[0].std))
    assert f"{mean:.4g} ± {std:.2g}" in lines[2]
    assert "compression" not in found.table(["accuracy"])
    frame = found.to_pandas()
    assert len(frame) == 6
    means = frame.groupby("name")["metric_accuracy"].mean()
    assert means[found.candidates[1].name] == pytest.approx(found.candidates[1].mean["accuracy"])


class NotFinite:
    """One run has a metric that is no finite number, and one lacks one."""

    def __init__(self, name, value):
        self.name, self.value = name, value

    def __call__(self, genome, *, seed):
        metrics = synthetic(genome, seed=seed) | {"extra": 1.0, "other": 2.0}
        if seed == 7:
            del metrics["other"]
        return metrics | {self.name: self.value} if seed == 6 else metrics


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_metrics_that_are_not_finite(search, tmp_path, value):
    file = tmp_path / "confirm.json"
    evaluate = NotFinite("extra", value)
    best = quiet(search, evaluate, top=1, seeds=[5, 6, 7], storage=file).candidates[0]
    assert best.failures == ()  # the search's fitness does not read it
    assert math.isnan(best.mean["extra"])
    assert math.isnan(best.std["extra"])
    assert math.isnan(best.mean["other"])
    assert best.std["accuracy"] > 0
    again = quiet(search, evaluate, top=1, seeds=[5, 6, 7], storage=file)
    assert "nan" not in again.table(["extra", "other", "accuracy"])
    best = quiet(search, NotFinite("accuracy", value), top=1, seeds=[5, 6, 7]).candidates[0]
    assert [run.failure is None for run in best.runs] == [True, False, True]
    assert "'accuracy' must be finite" in str(best.failures[0])
