"""The test suite's own small material in the place of what the examples download."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import rosearch

EXAMPLES = Path(__file__).parents[2] / "examples"
SIZE = (
    "--train 100 --dev 40 --test 40 --epochs 4 --examples 10 --attacks deepwordbug --nodes 0 2 "
    "--widths 32 48 --plain"
).split()


def write(dataset: rosearch.TextDataset, path: Path) -> None:
    """Texts and labels as lines of a file, for another process to read."""
    lines = [f"{label}\t{text}" for text, label in zip(dataset.texts, dataset.labels, strict=True)]
    path.write_text("\n".join(lines), encoding="utf-8")


def read(path: Path) -> rosearch.TextDataset:
    """What :func:`write` wrote."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    return rosearch.TextDataset(
        [text for _, text in rows],
        [int(label) for label, _ in rows],
        classes=("negative", "positive"),
    )


def load(name: str, dataset: rosearch.TextDataset) -> ModuleType:
    """The example ``name``, whose movie reviews are ``dataset``."""
    if str(EXAMPLES) not in sys.path:
        sys.path.insert(0, str(EXAMPLES))
    materials = importlib.import_module("materials")
    materials.movie_reviews = lambda: dataset  # type: ignore[attr-defined]
    return importlib.import_module(name)


if __name__ == "__main__":  # python material.py EXAMPLE FILE [arguments of the example]
    name, file, *line = sys.argv[1:]
    load(name, read(Path(file))).main(line)
