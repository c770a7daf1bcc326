"""File formats of word vectors."""

from __future__ import annotations

import gzip
import io
import json
import pickle
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from rosearch.errors import DataError, MissingResourceError
from rosearch.progress import progress_bar

VECTORS, WORDS, NEIGHBOURS = "vectors.npy", "words.json", "neighbours.npy"
_TEXTATTACK_FILES = ("paragram.npy", "wordlist.pickle", "nn.npy")


class StoredVectors(NamedTuple):
    """Word vectors as read from a file."""

    words: list[str]
    matrix: np.ndarray
    """Shape ``(words, width)``."""
    neighbours: np.ndarray | None = None
    """Row of each word and of its nearest words, shape ``(words, 1 + neighbours)``."""


def read_vectors(path: Path) -> StoredVectors:
    """Read word vectors; the arrays of a folder are memory-mapped.

    Raises:
        MissingResourceError: ``path`` is a folder without word vectors.
        DataError: A file is damaged.
    """
    if path.is_dir():
        return _read_folder(path)
    opened: Any = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as file:
        return _read_binary(file, path) if ".bin" in path.suffixes else _read_text(file, path)


def holds_vectors(path: Path) -> bool:
    """Return whether :func:`read_vectors` finds its files, without reading them."""
    kinds = ((VECTORS, WORDS), _TEXTATTACK_FILES)
    return path.is_file() or any(all((path / n).is_file() for n in names) for names in kinds)


def _read_folder(path: Path) -> StoredVectors:
    if (path / VECTORS).is_file():
        words = json.loads((path / WORDS).read_text(encoding="utf-8"))
        stored = _map(path / NEIGHBOURS) if (path / NEIGHBOURS).is_file() else None
        return StoredVectors(words, _map(path / VECTORS), stored)
    if holds_vectors(path):
        matrix, words, neighbours = (path / name for name in _TEXTATTACK_FILES)
        return StoredVectors(_read_word_list(words), _map(matrix), _map(neighbours))
    raise MissingResourceError(
        f"{path} holds no word vectors. It must contain {VECTORS} and {WORDS}, as written by "
        f"WordVectors.save, or TextAttack's files {', '.join(_TEXTATTACK_FILES)}."
    )


def _map(path: Path) -> np.ndarray:
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as an array: {error}") from error
    return array


class _PlainUnpickler(pickle.Unpickler):
    """Unpickles dicts, strings and numbers only, because other pickles can run code."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it contains {module}.{name}, which is not a plain value")


def _read_word_list(path: Path) -> list[str]:
    """Read TextAttack's word list, a pickled dict from word to row."""
    try:
        rows = _PlainUnpickler(io.BytesIO(path.read_bytes())).load()
        return sorted(rows, key=rows.__getitem__)
    except (AttributeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise DataError(f"{path} cannot be read as a list of words: {error}.") from error


def _read_text(file: IO[bytes], path: Path) -> StoredVectors:
    rows: dict[str, np.ndarray] = {}
    width = 0
    for number, line in enumerate(progress_bar(file, desc=path.name, unit=" words"), 1):
        fields = line.decode("utf-8", "replace").rstrip().split(" ")
        if number == 1 and len(fields) == 2 and all(field.isdigit() for field in fields):
            continue  # word2vec's number of words and width
        width = width or len(fields) - 1
        word = " ".join(fields[:-width])  # some words of GloVe contain spaces
        try:
            row = np.array(fields[-width:], dtype=np.float32)
        except ValueError as error:
            raise DataError(f"Line {number} of {path}: {error}.") from error
        if not word:
            raise DataError(f"Line {number} of {path} must be a word and {width} numbers.")
        rows.setdefault(word, row)
    if not rows:
        raise DataError(f"{path} holds no words.")
    return StoredVectors(list(rows), np.stack(list(rows.values())))


def _read_binary(file: IO[bytes], path: Path) -> StoredVectors:
    try:
        count, width = map(int, file.readline().split())
    except ValueError as error:
        raise DataError(
            f"{path} must begin with the number of words and the width: {error}."
        ) from error
    words: list[str] = []
    matrix = np.empty((count, width), dtype=np.float32)
    for _ in progress_bar(range(count), desc=path.name, unit=" words"):
        letters = bytearray()
        while (letter := file.read(1)) not in (b" ", b""):
            letters += letter
        row = file.read(4 * width)
        if len(row) != 4 * width:
            raise DataError(f"{path} ends after {len(words)} of {count} words.")
        matrix[len(words)] = np.frombuffer(row, dtype="<f4")
        words.append(letters.decode("utf-8", "replace").lstrip("\n"))
    return StoredVectors(words, matrix)
