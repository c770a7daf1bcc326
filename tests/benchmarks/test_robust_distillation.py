"""The benchmark of robust distillation runs on something tiny, and goes on where it was."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rosearch.data import TextDataset

PATH = Path(__file__).parents[2] / "benchmarks" / "robust_distillation.py"


@pytest.mark.slow
def test_small(
    fine_tuned: Callable[[int], Any],
    dataset: TextDataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = importlib.util.spec_from_file_location("robust_distillation", PATH)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    teacher, *_ = fine_tuned(12)
    parts = dataset.split(80, 40, 40, seed=0)
    monkeypatch.setattr(module, "material", lambda _: (teacher, *parts))
    variants = ["plain", "adversary, deepwordbug", "perturbation"]
    line = ["--out", str(tmp_path), "--students", "bag of words", "--variants", *variants,
            "--seeds", "2", "--examples", "10", "--attacks", "deepwordbug"]  # fmt: skip
    module.main(line)
    first = capsys.readouterr().out
    rows = [row for row in first.splitlines() if row.startswith("| bag of words |")]
    assert [row.split(" | ")[1] for row in rows] == variants
    assert all(row.count("±") == 4 for row in rows)
    assert len(list(tmp_path.glob("*.json"))) == 6
    # What is kept is not trained again; with other settings it is.
    monkeypatch.setattr(module.rs.Distiller, "distill", lambda *_, **__: 1 / 0)
    module.main(line)
    assert capsys.readouterr().out == first
    with pytest.raises(ZeroDivisionError):
        module.main([*line, "--epochs", "2"])
