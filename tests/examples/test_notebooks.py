"""The notebooks, executed from top to bottom in a kernel of their own."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from rosearch.errors import MissingResourceError

FOLDER = Path(__file__).parents[2] / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def test_there_are_three() -> None:
    assert len(NOTEBOOKS) == 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_kept_without_outputs_and_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    nbformat = pytest.importorskip("nbformat")
    for package in ("matplotlib", "pandas", "sklearn"):
        pytest.importorskip(package)
    monkeypatch.syspath_prepend(FOLDER.parent)
    try:
        importlib.import_module("materials").movie_reviews()
    except MissingResourceError as error:
        pytest.skip(str(error))
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    place = {"metadata": {"path": str(FOLDER)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=place).execute()
    assert all(cell.execution_count for cell in code)
    shown = {kind for cell in code for out in cell.outputs for kind in out.get("data", {})}
    assert shown & {"image/png", "text/html"}
