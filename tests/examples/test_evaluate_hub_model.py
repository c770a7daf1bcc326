"""The example that attacks a classifier prints a line for each recipe and keeps the report."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import rosearch as rs


def rows(printed: str) -> dict[str, list[str]]:
    """The cells of each line of the table, by the recipe's name."""
    names = ("deepwordbug", "pruthi", "all together")
    starts = tuple(f"{name:13} " for name in names)
    lines = [line for line in printed.splitlines() if line.startswith(starts)]
    return {line[:13].strip(): line[13:].split() for line in lines}


def test_a_local_model_on_the_reviews(
    load_example: Callable[[str], ModuleType],
    teacher_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    example = load_example("evaluate_hub_model")
    whole = example.quickstart.splits
    example.quickstart.splits = lambda options: whole(
        SimpleNamespace(**{**vars(options), "train": 100, "dev": 40, "test": 40})
    )
    path = tmp_path / "new" / "report.json"
    line = [str(teacher_folder), "--recipes", "deepwordbug", "pruthi", "--examples", "20"]
    example.main([*line, "--json", str(path), "--shown", "2"])
    printed = capsys.readouterr().out
    report = rs.RobustnessReport.from_json(path.read_text(encoding="utf-8"))
    assert report.n == 20
    assert f"accuracy 100.0% of 40 texts, {report.accuracy:.1%} of the 20 attacked" in printed
    table = rows(printed)
    assert list(table) == ["deepwordbug", "pruthi", "all together"]
    for name, one in {**report.attacks, "all together": report}.items():
        assert table[name][0] == f"{one.accuracy_under_attack:.1%}"
        assert table[name][4] == f"{one.attack_success_rate:.1%}"
    assert report.succeeded > 0, "an example in which no attack succeeds"
    assert printed.count(" became ") == min(2, report.succeeded)
    assert "[-" in printed
    assert "{+" in printed


def test_data_of_the_hub(
    load_example: Callable[[str], ModuleType],
    dataset: rs.TextDataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    example = load_example("evaluate_hub_model")
    calls = []

    class Columns(dict[str, Any]):
        @property
        def column_names(self) -> list[str]:
            return list(self)

    def load_dataset(*names: str | None, split: str) -> Columns:
        calls.append((*names, split))
        return Columns(sentence=list(dataset.texts), label=dataset.labels.tolist())

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    options = SimpleNamespace(
        dataset="glue:sst2", split="validation", text_column="sentence", label_column="label"
    )
    data = example.dataset(options)
    assert calls == [("glue", "sst2", "validation")]
    assert data.texts == dataset.texts
