"""The source distribution."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import pytest

import rosearch

ROOT = Path(__file__).parents[1]


FOLDERS = ("rosearch", "tests", "benchmarks", "examples", "docs", ".ci")
MADE = {"__pycache__", "_build"}
"""Folders of files that are made, not kept."""
NAMED = re.compile(r"""(?:\bROOT|\.parents\[\d\])\)? / "([^"]+)\"""")


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in it."""
    sdist = pytest.importorskip("hatchling.builders.sdist")
    folder = str(tmp_path_factory.mktemp("sdist"))
    (made,) = sdist.SdistBuilder(str(ROOT)).build(directory=folder, versions=["standard"])
    with tarfile.open(made) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def test_holds_every_file_beside_its_tests(held: set[str]) -> None:
    paths = [path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    kept = [p for p in paths if not any(x in MADE or x.startswith(".") for x in p.parts[1:])]
    names = {str(p) for p in kept if (ROOT / p).is_file()}
    assert len(names) > 500
    assert names <= held, sorted(names - held)


def test_holds_what_its_tests_and_make_name(held: set[str]) -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")]
    named = {name for text in texts for name in NAMED.findall(text) if (ROOT / name).exists()}
    assert {"README.md", "docs", "requirements.lock"} <= named
    named |= {"Makefile", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"}
    named |= {".importlinter", "CITATION.cff"}
    named |= {"pyproject.toml", "requirements-textattack.lock", "rosearch", ".ci/run"}
    missing = {n for n in named if n not in held and not any(h.startswith(f"{n}/") for h in held)}
    assert missing == set()


def test_citation_and_classifiers_are_of_this_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {rosearch.__version__}\n" in citation
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lowest = re.search(r'requires-python = ">=3\.(\d+)"', settings)
    assert lowest is not None
    named = re.findall(r'"Programming Language :: Python :: 3\.(\d+)"', settings)
    assert min(map(int, named)) == int(lowest[1])
    assert 'license = "MIT"' in settings
    assert "\nlicense: MIT\n" in citation
