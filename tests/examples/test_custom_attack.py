"""The example of an attack of one's own runs, and the attack keeps the rules."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import rosearch as rs
from rosearch.testing import AttackConformance

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("custom_attack", EXAMPLES / "custom_attack.py")
    if spec is None or spec.loader is None:
        raise RuntimeError("There is no examples/custom_attack.py.")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES))
        spec.loader.exec_module(module)
    sys.modules.pop("materials", None)
    return module


class TestElongation(AttackConformance):
    @pytest.fixture
    def attack(self, example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> rs.Attack:
        # Pickle finds classes by the name of their module.
        monkeypatch.setitem(sys.modules, "custom_attack", example)
        attack: rs.Attack = example.Elongation()
        return attack


def test_the_example_prints_a_line_for_each_attack(
    example: ModuleType,
    dataset: rs.TextDataset,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(example, "movie_reviews", lambda: dataset)
    example.main()
    printed = capsys.readouterr().out
    for name in ("elongation", "word-swap", "deepwordbug"):
        assert f"{name:12} accuracy" in printed
    assert " changed\n" in printed


def test_the_attack_is_short(example: ModuleType) -> None:
    lines = (EXAMPLES / "custom_attack.py").read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if "attacks.register" in line)
    end = next(i for i, line in enumerate(lines) if line.startswith("def naive_bayes"))
    assert end - start < 30


def test_vowels_are_drawn_out(example: ModuleType) -> None:
    assert example.Elongation().drawn_out("good") == "gooood"
    assert example.Elongation(times=1).drawn_out("film") == "fiilm"
    assert example.Elongation().drawn_out("hmm") == "hmm"
    names: Any = rs.attacks.names()
    assert "elongation" in names
