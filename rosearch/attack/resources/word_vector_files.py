"""Files that word vectors come in."""

from __future__ import annotations

import gzip
import io
import json
import pickle
from pathlib import Path
from typing import IO, Any

import numpy as np
from tqdm import tqdm

from rosearch.errors import DataError, MissingResourceError

VECTORS = "vectors.npy"
WORDS = "words.json"
NEIGHBOURS = "neighbours.npy"

_THEIR_VECTORS, _THEIR_WORDS, _THEIR_NEIGHBOURS = "paragram.npy", "wordlist.pickle", "nn.npy"

Table = tuple[list[str], np.ndarray, "np.ndarray | None"]
"""Words, vectors of shape ``(words, width)``, and stored neighbours where there are any."""


def read_vectors(path: Path) -> Table:
    """Words and vectors at ``path``; arrays are mapped, not read.

    Raises:
        MissingResourceError: It is nothing that is known.
        DataError: It is damaged.
    """
    if path.is_dir():
        return _folder(path)
    if path.suffix == ".npy":
        words = path.with_suffix(".txt")
        if not words.is_file():
            raise MissingResourceError(f"{path} has no words beside it. Expected {words}.")
        return words.read_text(encoding="utf-8").split("\n")[: len(_map(path))], _map(path), None
    opened: Any = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as file:
        if ".bin" in path.suffixes:
            return (*_binary(file, path), None)
        return (*_text(file, path), None)


def holds_vectors(path: Path) -> bool:
    """Whether there is what :func:`read_vectors` reads, without looking into it."""
    if path.suffix == ".npy":
        return path.is_file() and path.with_suffix(".txt").is_file()
    kinds = ((VECTORS, WORDS), (_THEIR_VECTORS, _THEIR_WORDS, _THEIR_NEIGHBOURS))
    return path.is_file() or any(all((path / n).is_file() for n in names) for names in kinds)


def _folder(path: Path) -> Table:
    if (path / VECTORS).is_file():
        words = json.loads((path / WORDS).read_text(encoding="utf-8"))
        near = path / NEIGHBOURS
        return words, _map(path / VECTORS), _map(near) if near.is_file() else None
    if (path / _THEIR_VECTORS).is_file():
        words = _word_list(path / _THEIR_WORDS)
        return words, _map(path / _THEIR_VECTORS), _map(path / _THEIR_NEIGHBOURS)
    raise MissingResourceError(
        f"{path} holds no word vectors. Expected {VECTORS} and {WORDS}, as WordVectors.save writes "
        f"them, or {_THEIR_VECTORS}, {_THEIR_WORDS} and {_THEIR_NEIGHBOURS} of TextAttack."
    )


def _map(path: Path) -> np.ndarray:
    try:
        found: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as an array: {error}") from error
    return found


class _PlainUnpickler(pickle.Unpickler):
    """Reads dicts, strings and numbers; anything that names code is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it names {module}.{name}, and plain words are expected")


def _word_list(path: Path) -> list[str]:
    """TextAttack's word list, a pickled dict from word to row.

    It comes from outside, so only plain values are read from it.
    """
    try:
        found = _PlainUnpickler(io.BytesIO(path.read_bytes())).load()
    except (OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise DataError(f"{path} cannot be read as a list of words: {error}.") from error
    rows = sorted(found.values()) if isinstance(found, dict) else []
    if not rows or rows != list(range(len(rows))):
        raise DataError(f"{path} does not give each word a row of its own, from 0.")
    return [str(word) for word in sorted(found, key=found.__getitem__)]


def _text(file: IO[bytes], path: Path) -> tuple[list[str], np.ndarray]:
    words: list[str] = []
    rows: list[np.ndarray] = []
    seen: set[str] = set()
    width: int | None = None
    for number, line in enumerate(tqdm(file, desc=path.name, unit=" words", delay=2), 1):
        fields = line.decode("utf-8", "replace").rstrip().split(" ")
        if number == 1 and len(fields) == 2 and all(f.isdigit() for f in fields):
            continue
        if width is None:
            width = len(fields) - 1
        # A word may hold spaces, as some of GloVe's do.
        word = " ".join(fields[: len(fields) - width])
        try:
            row = np.array(fields[len(fields) - width :], dtype=np.float32)
        except ValueError as error:
            raise DataError(f"Line {number} of {path}: {error}.") from error
        if len(row) != width or not width or len(fields) <= width:
            raise DataError(f"Line {number} of {path}: expected a word and {width} numbers.")
        if word not in seen:
            seen.add(word)
            words.append(word)
            rows.append(row)
    if not words:
        raise DataError(f"{path} holds no words.")
    return words, np.stack(rows)


def _binary(file: IO[bytes], path: Path) -> tuple[list[str], np.ndarray]:
    try:
        count, width = map(int, file.readline().split())
    except ValueError as error:
        raise DataError(f"{path} does not begin with two counts: {error}.") from error
    words: list[str] = []
    seen: set[str] = set()
    matrix = np.empty((count, width), dtype=np.float32)
    for _ in tqdm(range(count), desc=path.name, unit=" words", delay=2):
        letters = bytearray()
        while (letter := file.read(1)) not in (b" ", b""):
            letters += letter
        row = file.read(4 * width)
        if len(row) != 4 * width:
            raise DataError(f"{path} ends after {len(words)} of {count} words.")
        word = letters.decode("utf-8", "replace").lstrip("\n")
        if word not in seen:
            seen.add(word)
            matrix[len(words)] = np.frombuffer(row, dtype="<f4")
            words.append(word)
    return words, matrix[: len(words)]
