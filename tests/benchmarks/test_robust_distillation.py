"""The benchmark of robust distillation runs on something tiny, and goes on where it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import robust_distillation as module

from rosearch.data import TextDataset
from tests.benchmarks.resuming import check_goes_on


@pytest.mark.slow
def test_small(
    fine_tuned: Callable[[int], Any],
    dataset: TextDataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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
    check_goes_on(module, line, first, capsys, monkeypatch)


def test_variants_of_word_substitution() -> None:
    found = {name: module.added(name, 0.3) for name in module.VARIANTS if name.startswith("words")}
    settings = {name: given["perturbation"].settings for name, given in found.items()}
    assert {name: (one["weight"], one.get("gradient")) for name, one in settings.items()} == {
        "words": (0.9, None),
        "words, pwws": (0.8, None),
        "words, previous gradient": (0.9, "previous"),
        "words, pwws, previous gradient": (0.8, "previous"),
    }
    sources = {name: len(one["replacements"]["sources"]) for name, one in settings.items()}
    assert list(sources.values()) == [2, 1, 2, 1]
