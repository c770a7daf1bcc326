"""One failing part of the benchmark for GPUs leaves the others' rows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


def test_a_part_that_fails_gets_a_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import gpu

    def fails(_: Any) -> Iterator[gpu.Row]:
        yield "first", "1", ""
        raise RuntimeError("no room\nfor this")

    def works(_: Any) -> Iterator[gpu.Row]:
        yield "last", "2", ""

    monkeypatch.setitem(gpu.PARTS, "student", fails)
    monkeypatch.setitem(gpu.PARTS, "attack", works)
    rows = gpu.main(["--small", "--parts", "student", "attack"])
    assert rows == [
        ("first", "1", ""),
        ("student", "FAILED", "RuntimeError: no room"),
        ("last", "2", ""),
    ]
    captured = capsys.readouterr()
    assert "for this" in captured.err
    assert captured.out.splitlines()[-2].split() == [*rows[1][:2], "RuntimeError:", "no", "room"]


def test_the_exit_status_tells(tmp_path: Path) -> None:
    (tmp_path / "texts.tsv").mkdir()  # no file that could be read
    command = [sys.executable, str(PATH), "--small", "--parts", "attack", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "FAILED" in done.stdout.splitlines()[-1]
