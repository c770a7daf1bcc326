"""The example of a fitness of one's own runs, and its terms decide who is best."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest

import rosearch as rs
from tests.examples.material import SIZE


@pytest.fixture
def example(load_example: Callable[[str], ModuleType]) -> Iterator[ModuleType]:
    module = load_example("custom_fitness")
    yield module
    for name in ("effort", "worst_class_accuracy"):
        rs.fitness_terms.unregister(name)


def test_a_search_with_terms_of_its_own(
    example: ModuleType, large_teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = [*SIZE, "--teacher", str(large_teacher), "--out", str(tmp_path), "--candidates", "4"]
    example.main(line)
    printed = capsys.readouterr().out
    assert "best: candidate" in printed
    query = "select value_json from trial_user_attributes where key = ?"
    with closing(sqlite3.connect(tmp_path / "search.db")) as base:
        metrics, scores = (
            [json.loads(row) for (row,) in base.execute(query, [key])]
            for key in ("metrics", "score")
        )
    assert len(metrics) == 4
    for found, score in zip(metrics, scores, strict=True):
        assert 0 <= found["worst_class_accuracy"] <= found["accuracy"]
        effort = 0.1 * math.log10(1 + found["mean_queries"])
        assert score["values"] == pytest.approx([found["accuracy_under_attack"] + effort])
        limits = found["worst_class_accuracy"] >= 0.6 and found["compression"] >= 4.6
        assert score["feasible"] == limits
    # Run again, it has nothing left to do and says the same.
    example.main(line)
    assert capsys.readouterr().out.splitlines()[-12:] == printed.splitlines()[-12:]


def test_a_constant_answer_is_outside_the_limits(example: ModuleType) -> None:
    fitness = rs.Fitness({"robustness": 1.0}, constraints={"worst_class_accuracy": (0.6, None)})
    constant = {"accuracy_under_attack": 0.5, "worst_class_accuracy": 0.0}
    honest = {"accuracy_under_attack": 0.1, "worst_class_accuracy": 0.7}
    assert not fitness.score(constant).feasible
    assert fitness.score(honest).feasible
