"""Fixtures of the tests of resources."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def no_installed_vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No word vectors are found by default; the caches are empty."""
    monkeypatch.setenv("ROSEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TA_CACHE_DIR", str(tmp_path / "textattack"))
    monkeypatch.delenv("ROSEARCH_VECTORS", raising=False)
