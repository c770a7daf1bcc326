"""The benchmark of constant classifiers counts them, and goes on where it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import constant_classifiers as module
import pytest

from rosearch.data import TextDataset
from tests.benchmarks.resuming import check_goes_on


def test_classifiers_of_one_answer_are_counted() -> None:
    found = [
        {"accuracy": 0.5, "worst class": 0.0, "one answer": 1.0, "epoch before": 0.0},
        {"accuracy": 0.52, "worst class": 0.01, "one answer": 0.98, "epoch before": 0.0},
        {"accuracy": 0.8, "worst class": 0.7, "one answer": 0.55, "epoch before": 1.0},
    ]
    assert module.summary(found) == (
        "1 of 3 constant, 1 from an epoch before; accuracy 0.500 to 0.800, median 0.520; least "
        "recall of a class 0.000"
    )


@pytest.mark.slow
def test_small(
    fine_tuned: Callable[[int], Any],
    dataset: TextDataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    teacher, *_ = fine_tuned(12)
    monkeypatch.setattr(module, "material", lambda _: (teacher, *dataset.split(80, 40, seed=0)))
    line = ["--out", str(tmp_path), "--genomes", "2", "--attacks", "deepwordbug", "--flops", "1e6"]
    module.main(line)
    first = capsys.readouterr().out
    kinds = [row.partition(":")[0] for row in first.splitlines() if " of 2 constant, " in row]
    assert kinds == ["plain", "words, current gradient"]
    assert len(list(tmp_path.glob("*.json"))) == 4
    check_goes_on(module, line, first, capsys, monkeypatch)
