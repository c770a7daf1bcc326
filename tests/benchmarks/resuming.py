"""Benchmarks that keep what is done."""

from __future__ import annotations

from typing import Any

import pytest


def check_goes_on(
    module: Any,
    line: list[str],
    first: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Check that what is kept is not trained again, and that with other settings it is.

    Args:
        module: The benchmark.
        line: Its command line.
        first: What it printed when it was run.
    """
    monkeypatch.setattr(module.rs.Distiller, "distill", lambda *_, **__: 1 / 0)
    module.main(line)
    assert capsys.readouterr().out == first
    with pytest.raises(ZeroDivisionError):
        module.main([*line, "--epochs", "2"])
