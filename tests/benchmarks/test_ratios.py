"""Ratios to other libraries are measured, and those that the documentation names are among them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


@pytest.fixture
def ratios(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "path", list(sys.path))  # the scripts add a folder
    import ratios

    return ratios


def test_has_the_rows_of_the_page(ratios: Any) -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    named = [line.split(" | ")[0] for line in lines if line.endswith("| `make bench-peers` |")]
    assert tuple(name.removeprefix("| ") for name in named) == ratios.ROWS


def test_prints_ratios(
    ratios: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ratios.peers, "built_in", lambda: ["identity"])
    monkeypatch.setattr(ratios.peers, "limits", lambda: {"bytes": 1e9, "flops": 1e9})
    ratios.main(["--small", "--only", "operators", "training"])
    printed = capsys.readouterr().out
    line = r"^each operator +identity, forward +nn.Identity( +\d+\.\d\d){3}$"
    assert re.search(line, printed, re.MULTILINE)
    line = r"^training a 12-node student +one plain module +\d+\.\d\d$"
    assert re.search(line, printed, re.MULTILINE)
    missing = re.findall("^not measured: (.*)$", printed, re.MULTILINE)
    assert missing == sorted(set(ratios.ROWS) - {"each operator", "training a 12-node student"})


def test_spans_from_the_least_to_the_greatest(ratios: Any) -> None:
    cells = ratios.Ratio("row", "", "peer", (2.0, 1.0), (4.0, 4.0)).cells
    assert cells == ("row", "", "peer", "1.00 to 2.00", "4.00", "0.25 to 0.50", "")
