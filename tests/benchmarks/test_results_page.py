"""docs/results.md says what the committed studies say."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
PARTS = dict(re.findall(r"<!-- made: ([\w-]+) -->(.*?)<!-- end -->", PAGE, re.DOTALL))
FINDINGS = {name for name in PARTS if name.endswith(("findings", "explained"))}


@pytest.fixture
def reproduce_results(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "path", list(sys.path))  # the scripts add a folder
    import reproduce_results

    return reproduce_results


def test_the_page_has_the_parts(reproduce_results: Any) -> None:
    assert set(PARTS) == set(reproduce_results.PARTS)


@pytest.mark.parametrize("name", sorted(set(PARTS) - FINDINGS))
def test_the_tables_are_those_of_the_ledgers(name: str, reproduce_results: Any) -> None:
    assert reproduce_results.PARTS[name]() == PARTS[name].strip()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FINDINGS))
def test_the_findings_are_those_of_the_genomes(name: str, reproduce_results: Any) -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for package in ("numpy", "scipy", "scikit-learn"):
        if f"{package}=={version(package)}" not in lock.split():
            pytest.skip(f"another {package} than the lock's may round its last digits otherwise")
    assert reproduce_results.PARTS[name]() == PARTS[name].strip()


def test_the_readme_has_figures_of_the_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = [line for line in readme.splitlines() if re.match(r"\|[^|]*\| \**\d", line)]
    assert len(rows) == 12
    for row in rows:
        figures = re.findall(r"\d+\.\d", row.split("|", 2)[2])  # without those of the name
        assert len(figures) == 5
        whole = [
            re.findall(r"\d+\.\d", re.sub(r" ± [\d.]+", "", line)) for line in PAGE.splitlines()
        ]
        assert any(set(figures) <= set(line) for line in whole), row
