"""The picture of README.md."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")


def test_the_picture_has_every_kind_of_student(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[2] / "benchmarks"), *sys.path])
    import encoding_fronts

    encoding_fronts.draw(tmp_path / "fronts.svg")
    encoding_fronts.draw(tmp_path / "again.svg")
    text = (tmp_path / "fronts.svg").read_text(encoding="utf-8")
    assert (tmp_path / "again.svg").read_text(encoding="utf-8") == text
    points = encoding_fronts._points("movies")
    assert set(points) == set(encoding_fronts.KINDS)
    for own in points.values():
        assert all(0 < under < accuracy < 100 for _, accuracy, under in own)
