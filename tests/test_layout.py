"""The package's structure: no circle of imports, no file over 500 lines."""

from __future__ import annotations

from pathlib import Path

import grimp
import networkx as nx
import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [
    path
    for folder in ("rosearch", "tests", "benchmarks", "examples", "docs")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def import_graph() -> nx.DiGraph:
    """Module to imported module; imports inside functions and under TYPE_CHECKING count too."""
    graph = grimp.build_graph("rosearch", cache_dir=None)
    return nx.DiGraph(
        (module, imported)
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
        # A package that imports from its own __init__ is no import of another module.
        if module != imported
    )


def test_no_circle_of_imports() -> None:
    graph = import_graph()
    assert len(graph) > 100
    circles = [sorted(c) for c in nx.strongly_connected_components(graph) if len(c) > 1]
    assert circles == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_over_500_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500
