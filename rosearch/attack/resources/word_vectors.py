"""Word vectors: which words are near to which."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rosearch.attack.resources.word_vector_files import (
    NEIGHBOURS,
    VECTORS,
    WORDS,
    holds_vectors,
    read_vectors,
)
from rosearch.attack.settings import Part, check_whole
from rosearch.caching import cache_folder
from rosearch.errors import DataError, MissingResourceError

VECTORS_VARIABLE = "ROSEARCH_VECTORS"
"""Environment variable that names a file or folder of word vectors."""

Metric = Literal["cosine", "euclidean"]

_BATCH = 64
# Candidates this near to the last neighbour are compared again exactly: more than float32 errs.
_SLACK = 1e-4


class WordVectors(Part):
    """A table of words and their vectors.

    Vectors that lie in a folder are mapped into memory, so that processes share one copy, and are
    pickled as the folder's path. Neighbours that were looked up are remembered, and travel along.

    Args:
        words: The words, each once.
        matrix: Their vectors, float32, shape ``(words, width)``.
        neighbours: Indices of each word's neighbours, the nearest first, each word itself in front,
            shape ``(words, 1 + neighbours)``. Default: computed when asked for.

    Raises:
        DataError: A word comes twice, or the shapes do not fit.
    """

    name = "word-vectors"

    def __init__(
        self,
        words: Iterable[str],
        matrix: np.ndarray,
        *,
        neighbours: np.ndarray | None = None,
    ) -> None:
        self._folder: Path | None = None
        self._digest: str | None = None
        self._near: dict[str, dict[int, tuple[str, ...]]] = {}
        self._fill(list(words), matrix, neighbours)

    def _fill(self, words: list[str], matrix: np.ndarray, neighbours: np.ndarray | None) -> None:
        if matrix.ndim != 2 or len(matrix) != len(words) or not len(words):
            raise DataError(
                f"Expected one row of numbers a word, got {len(words)} words and an array of shape "
                f"{matrix.shape}."
            )
        if not np.issubdtype(matrix.dtype, np.floating):
            raise DataError(f"Word vectors are floating-point numbers, got {matrix.dtype}.")
        if neighbours is not None and (
            neighbours.ndim != 2
            or len(neighbours) != len(words)
            or not np.issubdtype(neighbours.dtype, np.integer)
        ):
            raise DataError(
                f"Neighbours are one row of indices a word, got {neighbours.dtype} of shape "
                f"{neighbours.shape} for {len(words)} words."
            )
        self._words = words
        self._index = {word: index for index, word in enumerate(words)}
        if len(self._index) < len(words):
            twice = next(word for index, word in enumerate(words) if self._index[word] != index)
            raise DataError(f"The word {twice!r} has two vectors. Expected each word once.")
        self._matrix = matrix
        self._neighbours = neighbours
        self._norms: np.ndarray | None = None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> WordVectors:
        """Vectors from a file or a folder.

        - a folder made by :meth:`save`;
        - the folder ``paragramcf`` of TextAttack's cache (counter-fitted Paragram vectors), with
          the neighbours stored in it;
        - a text file as word2vec and GloVe write it: a word and its numbers on each line, with
          or without a first line of two counts, plain or ``.gz``;
        - a word2vec file in binary form (``.bin``, ``.bin.gz``);
        - ``NAME.npy`` with the words in ``NAME.txt`` beside it, one a line.

        Files of text or in binary form are converted once and mapped from the cache folder from
        then on.

        Raises:
            MissingResourceError: There is nothing at ``path``, or nothing that is known.
            DataError: The file is damaged.
        """
        place = Path(path).expanduser().resolve()
        if not place.exists():
            raise MissingResourceError(
                f"There are no word vectors at {place}. Expected a word2vec or GloVe file, or a "
                f"folder that WordVectors.save made."
            )
        if place.is_file() and place.suffix != ".npy":
            return cls._converted(place)
        words, matrix, near = read_vectors(place)
        made = cls(words, matrix, neighbours=near)
        made._folder = place
        return made

    @classmethod
    def _converted(cls, file: Path) -> WordVectors:
        about = file.stat()
        identity = json.dumps([str(file), about.st_size, about.st_mtime_ns])
        key = hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()
        folder = cache_folder("vectors", f"{file.name}-{key}", create=False)
        if not (folder / VECTORS).is_file():
            words, matrix, _ = read_vectors(file)
            made = cls(words, matrix)
            try:
                made.save(folder)
            except OSError:  # a read-only cache folder: the vectors stay in this process
                return made
        return cls.load(folder)

    @classmethod
    def of_gensim(cls, vectors: Any) -> WordVectors:
        """The words and vectors of gensim's ``KeyedVectors``."""
        return cls(vectors.index_to_key, np.asarray(vectors.vectors, dtype=np.float32))

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the vectors into a new folder, all at once.

        Returns:
            The folder. If it is there already, nothing is written.

        Raises:
            OSError: The folder cannot be written.
        """
        target = Path(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".vectors-") as name:
            made = Path(name) / "made"
            made.mkdir()
            np.save(made / VECTORS, self._matrix)
            # JSON, because a word may hold any character, line ends included.
            (made / WORDS).write_text(json.dumps(self._words), encoding="utf-8")
            if self._neighbours is not None:
                np.save(made / NEIGHBOURS, self._neighbours)
            try:
                made.rename(target)
            except OSError:
                if not (target / VECTORS).is_file():
                    raise
        return target

    @property
    def digest(self) -> str:
        """Hash of words, vectors and stored neighbours, wherever they lie."""
        if self._digest is None:
            digest = hashlib.blake2b("\n".join(self._words).encode(), digest_size=16)
            for array in (self._matrix, self._neighbours):
                if array is not None:
                    digest.update(f"{array.dtype.str} {array.shape}".encode())
                    for start in range(0, len(array), 1 << 14):
                        digest.update(array[start : start + (1 << 14)].tobytes())
            self._digest = digest.hexdigest()
        return self._digest

    @property
    def settings(self) -> Mapping[str, Any]:
        """Name, number of words, width, and the digest of the content."""
        return {
            "name": self.name,
            "words": len(self),
            "width": self.matrix.shape[1],
            "digest": self.digest,
        }

    @property
    def words(self) -> Sequence[str]:
        """The words, in the order of :attr:`matrix`."""
        return self._words

    @property
    def matrix(self) -> np.ndarray:
        """Their vectors, shape ``(words, width)``; not to be written to."""
        return self._matrix

    def __len__(self) -> int:
        return len(self._words)

    def __contains__(self, word: object) -> bool:
        return word in self._index

    def __getitem__(self, word: str) -> np.ndarray:
        """The vector of ``word``, shape ``(width,)``."""
        return np.asarray(self._matrix[self._index[word]])

    def __repr__(self) -> str:
        return f"WordVectors({len(self)} words, width {self.matrix.shape[1]})"

    def rows(self, words: Iterable[str]) -> list[int]:
        """Row of each word in :attr:`matrix`, -1 for words that have none."""
        return [self._index.get(word, -1) for word in words]

    def cosines(self, row: int, others: Sequence[int]) -> np.ndarray:
        """Cosine of the angle between a row and others, shape ``(others,)``; 0 for null vectors."""
        norms = self._lengths()
        products = self._matrix[list(others)] @ self._matrix[row]
        cosines: np.ndarray = products / np.maximum(norms[list(others)] * norms[row], 1e-8)
        return cosines

    def distances(self, row: int, others: Sequence[int]) -> np.ndarray:
        """Squared Euclidean distance of a row from others, shape ``(others,)``."""
        squared: np.ndarray = ((self._matrix[list(others)] - self._matrix[row]) ** 2).sum(axis=1)
        return squared

    def nearest(
        self, words: Sequence[str], count: int, *, metric: Metric = "cosine"
    ) -> list[tuple[str, ...]]:
        """The nearest words of each of ``words``, the nearest first, itself left out.

        Stored neighbours are used where there are any, whatever ``metric``, and there may then be
        fewer than ``count``; so TextAttack does it. Of words equally near, the one that comes first
        in the table is nearer.

        Args:
            words: Any words; one without a vector has no neighbours.
            count: How many.
            metric: ``"cosine"`` or ``"euclidean"``; the same for vectors of unit length.

        Raises:
            DataError: There is no such metric, or ``count`` is no whole number from 1.
        """
        count = check_whole("count", count)
        if metric not in ("cosine", "euclidean"):
            raise DataError(f"metric is 'cosine' or 'euclidean', got {metric!r}.")
        known = self._near.setdefault(f"{metric}-{count}", {})
        rows = self.rows(words)
        new = sorted({row for row in rows if row >= 0 and row not in known})
        for start in range(0, len(new), _BATCH):
            part = new[start : start + _BATCH]
            for row, found in zip(part, self._search(part, count, metric), strict=True):
                known[row] = tuple(self._words[i] for i in found)
        return [known[row] if row >= 0 else () for row in rows]

    def _search(self, rows: list[int], count: int, metric: Metric) -> list[list[int]]:
        if self._neighbours is not None:
            stored = np.asarray(self._neighbours[rows, 1 : count + 1]).tolist()
            return [[i for i in found if i != row] for row, found in zip(rows, stored, strict=True)]
        norms = self._lengths()
        near = self._matrix[rows] @ self._matrix.T
        if metric == "cosine":
            near /= np.maximum(norms, 1e-8)
            slack = _SLACK * norms[rows]
        else:
            near -= norms**2 / 2
            slack = np.full(len(rows), _SLACK * max(1.0, float(norms.max()) ** 2))
        near[np.arange(len(rows)), rows] = -np.inf
        count = min(count, len(self) - 1)
        if not count:
            return [[] for _ in rows]
        found = []
        for row, values, tolerance in zip(rows, near, slack, strict=True):
            last = np.partition(values, -count)[-count]
            likely = np.flatnonzero(values >= last - tolerance)
            # Exactly, because rounding differs with the shape of the product above.
            exact = self._exact(row, likely, metric)
            found.append(likely[np.argsort(-exact, kind="stable")[:count]].tolist())
        return found

    def _exact(self, row: int, others: np.ndarray, metric: Metric) -> np.ndarray:
        vector = self._matrix[row].astype(np.float64)
        table = self._matrix[others].astype(np.float64)
        if metric == "euclidean":
            negated: np.ndarray = -((table - vector) ** 2).sum(axis=1)
            return negated
        lengths = np.maximum(np.sqrt((table**2).sum(axis=1)), 1e-12)
        cosines: np.ndarray = (table * vector).sum(axis=1) / lengths
        return cosines

    def _lengths(self) -> np.ndarray:
        if self._norms is None:
            self._norms = np.linalg.norm(self._matrix, axis=1)
        return self._norms

    def __getstate__(self) -> dict[str, Any]:
        if self._folder is None:
            return {**vars(self), "_norms": None}
        return {"_folder": self._folder, "_digest": self.digest, "_near": self._near}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self._folder is not None:
            self._fill(*read_vectors(self._folder))


def find_vectors(vectors: Any = None) -> WordVectors:
    """The word vectors that recipes use.

    Args:
        vectors: :class:`WordVectors`, a file or folder that :meth:`WordVectors.load` reads, or
            gensim's ``KeyedVectors``. Default: the file or folder named by the environment
            variable ``ROSEARCH_VECTORS``; the counter-fitted vectors in TextAttack's cache; those
            that ``python -m rosearch.attack.resources.counterfitting MODEL`` made on this machine.

    Raises:
        MissingResourceError: There are none.
        DataError: ``vectors`` is something else.
    """
    if isinstance(vectors, WordVectors):
        return vectors
    if isinstance(vectors, (str, os.PathLike)):
        return WordVectors.load(vectors)
    if hasattr(vectors, "index_to_key") and hasattr(vectors, "vectors"):
        return WordVectors.of_gensim(vectors)
    if vectors is not None:
        raise DataError(
            f"vectors is WordVectors, a path or gensim's KeyedVectors; got "
            f"{type(vectors).__name__}."
        )
    place = vectors_here()
    if place is None:
        raise MissingResourceError(
            "Word vectors were not found. Make some from any model's own word embeddings with: "
            "python -m rosearch.attack.resources.counterfitting MODEL (name or folder; 30 s, "
            "needs WordNet). Or get those of the TextFooler paper, where TextAttack is installed: "
            'python -c "from textattack.shared import WordEmbedding as W; '
            'W.counterfitted_GLOVE_embedding()". A word2vec or GloVe file can be named with '
            f"vectors= or the environment variable {VECTORS_VARIABLE}."
        )
    return WordVectors.load(place)


def vectors_here() -> Path | None:
    """Where :func:`find_vectors` finds vectors by itself, without reading them."""
    named = os.environ.get(VECTORS_VARIABLE)
    if named:
        return Path(named).expanduser()
    cache = Path(os.environ.get("TA_CACHE_DIR") or "~/.cache/textattack").expanduser()
    theirs = cache / "word_embeddings" / "paragramcf"
    for place in (theirs, default_vectors()):
        # A download that was broken off leaves a folder too.
        if holds_vectors(place):
            return place
    return None


def default_vectors() -> Path:
    """Where vectors made on this machine lie, if any."""
    return cache_folder("vectors", "default", create=False)
