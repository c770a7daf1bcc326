"""The benchmark runs from end to end on something tiny."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "distillation.py"


@pytest.mark.slow
def test_small(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("distillation_benchmark", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    monkeypatch.setitem(__import__("sys").modules, spec.name, module)
    spec.loader.exec_module(module)
    module.main(["--small"])
    out = capsys.readouterr().out
    rows = [line.split("  ")[0].strip() for line in out.splitlines()]
    assert {"rosearch, first candidate", "rosearch", "rosearch, bfloat16"} <= set(rows)
    assert any(row.startswith("limit, batches of") for row in rows)
