"""The example of a Pareto search leaves a front, of which nobody beats another."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import rosearch as rs
from tests.examples.material import SIZE


@pytest.mark.parametrize("with_matplotlib", [True, False])
def test_a_front_is_printed_and_drawn(
    load_example: Callable[[str], ModuleType],
    with_matplotlib: bool,
    large_teacher: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    example = load_example("pareto_search")
    if not with_matplotlib:
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    objectives = ["robustness", "accuracy", "parameters"]
    line = [*SIZE, "--teacher", str(large_teacher), "--out", str(tmp_path), "--candidates", "8"]
    example.main(line)
    printed = capsys.readouterr().out
    front = json.loads((tmp_path / "front.json").read_text(encoding="utf-8"))
    assert front
    search = rs.load_search(f"sqlite:///{tmp_path}/search.db")
    assert sorted(row["number"] for row in front) == [trial.number for trial in search.front]
    assert [row["parameters"] for row in front] == sorted(row["parameters"] for row in front)
    for row in front:
        assert rs.Genome.from_json(row["genome"]).key == search.trials[row["number"]].key
        for other in front:
            better = [
                other["robustness"] >= row["robustness"],
                other["accuracy"] >= row["accuracy"],
                other["parameters"] <= row["parameters"],
            ]
            assert not all(better) or all(other[k] == row[k] for k in objectives)
    assert (tmp_path / "front.png").is_file() == with_matplotlib
    assert ("no picture" in printed) == (not with_matplotlib)
    # More candidates go on with the same study.
    example.main([*line[:-1], "9", "--objectives", *objectives])
    assert "9 complete" in capsys.readouterr().out
