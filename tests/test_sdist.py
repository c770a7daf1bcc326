"""The source distribution."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_holds_all_that_its_tests_need(tmp_path: Path) -> None:
    sdist = pytest.importorskip("hatchling.builders.sdist")
    (made,) = sdist.SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(made) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    needed = [
        path
        for folder in ("rosearch", "tests", "benchmarks", "examples", "docs")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".md", ".json", ".gz", ".html", ".tsv")
    ]
    needed += [ROOT / name for name in ("Makefile", "CONTRIBUTING.md", "pyproject.toml")]
    names = {str(path.relative_to(ROOT)) for path in needed}
    names = {name for name in names if not name.startswith("docs/_build/")}
    assert len(names) > 500
    assert names <= held, sorted(names - held)
