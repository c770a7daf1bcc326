"""Word vectors and the nearest words by them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rosearch.attack.resources.word_vector_files import (
    NEIGHBOURS,
    VECTORS,
    WORDS,
    holds_vectors,
    read_vectors,
)
from rosearch.caching import cache_folder, new_folder
from rosearch.checks import refused, whole_number
from rosearch.errors import DataError, MissingResourceError

VECTORS_VARIABLE = "ROSEARCH_VECTORS"
"""Environment variable that names a file or folder of word vectors."""

_BATCH = 64
# Words this close to the last neighbour are compared again in float64; larger than float32 errors.
_TOLERANCE = 1e-4


class WordVectors:
    """Words and their vectors.

    Vectors in a folder are memory-mapped, so that processes share one copy, and are pickled as the
    folder's path. Nearest words are cached, and pickled too.

    Args:
        words: The words, without duplicates.
        matrix: Their vectors, floating point, shape ``(words, width)``.

    Raises:
        ArgumentError: ``matrix`` has the wrong shape or type.
        DataError: A word occurs twice.
    """

    name = "word-vectors"

    def __init__(self, words: Iterable[str], matrix: np.ndarray) -> None:
        words = list(words)
        if matrix.ndim != 2 or len(matrix) != len(words) or matrix.dtype.kind != "f" or not words:
            expected = f"a floating-point array of shape (words, width) for {len(words)} words"
            raise refused("matrix", expected, f"{matrix.dtype} {matrix.shape}")
        self.words = words
        self._index = {word: index for index, word in enumerate(words)}
        if len(self._index) < len(words):
            twice = next(word for index, word in enumerate(words) if self._index[word] != index)
            raise DataError(f"The word {twice!r} has two vectors. Each word must occur once.")
        self.matrix = matrix
        self._folder: Path | None = None
        self._neighbours: np.ndarray | None = None
        self._nearest: dict[int, dict[int, tuple[str, ...]]] = {}

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> WordVectors:
        """Load vectors from a file or a folder.

        These are read:

        - a folder written by :meth:`save`;
        - the folder ``paragramcf`` of TextAttack's cache (counter-fitted Paragram vectors), with
          the neighbours stored in it;
        - a text file in the format of word2vec or GloVe, plain or ``.gz``: a word and its numbers
          on each line, with or without word2vec's first line of two counts;
        - a word2vec file in binary format (``.bin``, ``.bin.gz``).

        Files are converted once; after that they are memory-mapped from the cache folder.

        Raises:
            MissingResourceError: There are no word vectors at ``path``.
            DataError: A file is damaged.
        """
        place = Path(path).expanduser().resolve()
        if not place.exists():
            raise MissingResourceError(
                f"There are no word vectors at {place}. Name a word2vec or GloVe file, or a folder "
                f"written by WordVectors.save."
            )
        if place.is_file():
            return cls._converted(place)
        words, matrix, neighbours = read_vectors(place)
        loaded = cls(words, matrix)
        loaded._folder, loaded._neighbours = place, neighbours
        return loaded

    @classmethod
    def _converted(cls, file: Path) -> WordVectors:
        stat = file.stat()
        identity = json.dumps([str(file), stat.st_size, stat.st_mtime_ns])
        key = hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()
        folder = cache_folder("vectors", f"{file.name}-{key}", create=False)
        if not (folder / VECTORS).is_file():
            words, matrix, _ = read_vectors(file)
            read = cls(words, matrix)
            try:
                read.save(folder)
            except OSError:  # the cache folder is read-only: keep the vectors in this process
                return read
        return cls.load(folder)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the vectors to a new folder and return it.

        If the folder already holds word vectors, nothing is written.

        Raises:
            OSError: The folder cannot be written.
        """
        target = Path(folder)
        with new_folder(target) as draft:
            np.save(draft / VECTORS, self.matrix)
            # JSON, because a word may contain any character, even a line break.
            (draft / WORDS).write_text(json.dumps(self.words), encoding="utf-8")
            if self._neighbours is not None:
                np.save(draft / NEIGHBOURS, self._neighbours)
        return target

    @cached_property
    def digest(self) -> str:
        """Hash of words, vectors and stored neighbours, independent of their folder."""
        digest = hashlib.blake2b("\n".join(self.words).encode(), digest_size=16)
        for array in (self.matrix, self._neighbours):
            if array is not None:
                digest.update(f"{array.dtype.str} {array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    @property
    def settings(self) -> Mapping[str, Any]:
        """Name, number of words, width, and digest of the content."""
        width = self.matrix.shape[1]
        return {"name": self.name, "words": len(self), "width": width, "digest": self.digest}

    def __len__(self) -> int:
        return len(self.words)

    def rows(self, words: Iterable[str]) -> list[int]:
        """Return the row of each word in :attr:`matrix`, -1 for words without a vector."""
        return [self._index.get(word, -1) for word in words]

    def cosines(self, rows: int | Sequence[int], others: Sequence[int]) -> np.ndarray:
        """Return the cosine similarity of each row, or of one, to the row of ``others``.

        It is 0 for null vectors. The shape is ``(others,)``.
        """
        lengths = self._lengths[rows] * self._lengths[others]
        cosines: np.ndarray = (self.matrix[rows] * self.matrix[others]).sum(axis=1)
        cosines /= np.maximum(lengths, 1e-8)
        return cosines

    def distances(self, rows: int | Sequence[int], others: Sequence[int]) -> np.ndarray:
        """Return the squared Euclidean distance of each row, or of one, from that of ``others``."""
        squared: np.ndarray = ((self.matrix[rows] - self.matrix[others]) ** 2).sum(axis=1)
        return squared

    def nearest(self, words: Sequence[str], count: int) -> list[tuple[str, ...]]:
        """Return the nearest words of each of ``words`` by cosine, without the word itself.

        Stored neighbours are used if there are any; there may be fewer than ``count`` of them.
        Ties are broken by the order of :attr:`words`.

        Args:
            words: Any words; those without a vector have no nearest words.
            count: Number of nearest words, from 1.

        Raises:
            ArgumentError: ``count`` is not a whole number from 1.
        """
        count = whole_number("count", count)
        known = self._nearest.setdefault(count, {})
        rows = self.rows(words)
        new = sorted({row for row in rows if row >= 0 and row not in known})
        for start in range(0, len(new), _BATCH):
            part = new[start : start + _BATCH]
            for row, found in zip(part, self._search(part, count), strict=True):
                known[row] = tuple(self.words[i] for i in found)
        return [known[row] if row >= 0 else () for row in rows]

    def _search(self, rows: list[int], count: int) -> list[list[int]]:
        if self._neighbours is not None:
            stored = self._neighbours[rows, 1 : count + 1].tolist()
            return [[i for i in found if i != row] for row, found in zip(rows, stored, strict=True)]
        similarity = self.matrix[rows] @ self.matrix.T
        similarity /= np.maximum(self._lengths, 1e-8)
        similarity[np.arange(len(rows)), rows] = -np.inf
        count = min(count, len(self) - 1)
        found = []
        for row, values in zip(rows, similarity, strict=True):
            last = np.partition(values, -count)[-count]
            candidates = np.flatnonzero(values >= last - _TOLERANCE * self._lengths[row])
            # Compared in float64, because rounding above depends on the shape of the product.
            vector = self.matrix[row].astype(np.float64)
            others = self.matrix[candidates].astype(np.float64)
            exact = (others * vector).sum(axis=1)
            exact /= np.maximum(np.sqrt((others**2).sum(axis=1)), 1e-12)
            found.append(candidates[np.argsort(-exact, kind="stable")[:count]].tolist())
        return found

    @cached_property
    def _lengths(self) -> np.ndarray:
        lengths: np.ndarray = np.linalg.norm(self.matrix, axis=1)
        return lengths

    def __getstate__(self) -> dict[str, Any]:
        if self._folder is None:
            return vars(self)
        return {"_folder": self._folder, "digest": self.digest, "_nearest": self._nearest}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "words" not in state:
            vars(self).update(vars(WordVectors.load(state["_folder"])))
        vars(self).update(state)


def find_vectors(vectors: Any = None) -> WordVectors:
    """Return the word vectors that recipes use.

    Args:
        vectors: :class:`WordVectors`, a file or folder that :meth:`WordVectors.load` reads, or
            gensim's ``KeyedVectors``. Default: the file or folder named by the environment
            variable ``ROSEARCH_VECTORS``; otherwise the counter-fitted vectors in TextAttack's
            cache, or those made by ``python -m rosearch.attack.resources.counterfitting MODEL``.

    Raises:
        MissingResourceError: No vectors are found.
        ArgumentError: ``vectors`` is something else.
    """
    if isinstance(vectors, WordVectors):
        return vectors
    if isinstance(vectors, (str, os.PathLike)):
        return WordVectors.load(vectors)
    if hasattr(vectors, "index_to_key") and hasattr(vectors, "vectors"):
        return WordVectors(vectors.index_to_key, np.asarray(vectors.vectors, dtype=np.float32))
    if vectors is not None:
        raise refused("vectors", "WordVectors, a path or gensim's KeyedVectors", vectors)
    place = installed_vectors()
    if place is None:
        raise MissingResourceError(
            "Word vectors were not found. Get some from any model's own word embeddings with: "
            "python -m rosearch.attack.resources.counterfitting MODEL (name or folder; 30 s, "
            "needs WordNet). Or get those of the TextFooler paper, if TextAttack is installed: "
            'python -c "from textattack.shared import WordEmbedding as W; '
            'W.counterfitted_GLOVE_embedding()". A word2vec or GloVe file can be named with '
            f"vectors= or the environment variable {VECTORS_VARIABLE}."
        )
    return WordVectors.load(place)


def installed_vectors() -> Path | None:
    """Return the path of the vectors that :func:`find_vectors` loads by default."""
    named = os.environ.get(VECTORS_VARIABLE)
    if named:
        return Path(named).expanduser()
    cache = Path(os.environ.get("TA_CACHE_DIR") or "~/.cache/textattack").expanduser()
    places = (cache / "word_embeddings" / "paragramcf", default_vectors())
    # An interrupted download leaves an incomplete folder.
    return next((place for place in places if holds_vectors(place)), None)


def default_vectors() -> Path:
    """Return the folder of the vectors made on this machine, which may not exist."""
    return cache_folder("vectors", "default", create=False)
