"""Nearest words by word vectors, by a model's token vectors, or by WordNet."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch.nn import functional

from rosearch.errors import DataError
from rosearch.operators import NearestWords, Vocabulary
from rosearch.wordnet import WordNet

Neighbours = list[list[tuple[str, float]]]

TILE = 512
"""Words whose cosines are computed at once; each takes 4 bytes for every word."""

_MIN_COUNT = 16
_MAX_CACHED = 4


class VectorNearestWords:
    """Nearest words by the cosine similarity of word vectors.

    The mean of all vectors is subtracted first: vectors of language models lie in a narrow cone,
    where any two words look alike (Mu and Viswanath 2018). Antonyms occur in similar contexts and
    so are near; counter-fitted vectors avoid that.

    Args:
        words: Distinct words, such as ``WordVectors.words`` of
            :mod:`rosearch.attack.resources.word_vectors`, or gensim's ``index_to_key``.
        vectors: Their vectors, ``(words, width)``.

    Raises:
        DataError: Words and vectors differ in number, or a vector is not finite.
    """

    name = "vectors"

    def __init__(self, words: Sequence[str], vectors: np.ndarray) -> None:
        _check_shape(vectors, len(words), "words")
        if not np.isfinite(vectors).all():
            # A single one would make the mean, and with it every cosine, NaN.
            raise DataError("Expected finite vectors; some hold NaN or infinity. Leave these out.")
        self._rows = {word: row for row, word in reversed(list(enumerate(words)))}
        self._vectors = vectors

    @cached_property
    def settings(self) -> Mapping[str, object]:
        """Name, and a digest of words and vectors."""
        digest = hashlib.blake2b("\n".join(self._rows).encode(), digest_size=16)
        digest.update(np.ascontiguousarray(self._vectors, dtype=np.float32).tobytes())
        return {"name": self.name, "digest": digest.hexdigest()}

    def neighbours(self, words: Sequence[str], *, count: int) -> Neighbours:
        """Return the nearest of ``words`` to each.

        A word without a vector is looked up in lower case; without that it has no neighbours.
        """
        rows = [self._rows.get(word, self._rows.get(word.lower(), -1)) for word in words]
        known = [k for k, row in enumerate(rows) if row >= 0]
        out: Neighbours = [[] for _ in words]
        if len(known) < 2 or count < 1:
            return out
        table = torch.from_numpy(np.array(self._vectors[[rows[k] for k in known]])).float()
        table = functional.normalize(table - table.mean(dim=0), dim=1)
        values, places = _nearest(table, min(count, len(known) - 1))
        for own, cosines, others in zip(known, values.tolist(), places.tolist(), strict=True):
            out[own] = [
                (words[known[other]], min(cosine, 1.0))
                for cosine, other in zip(cosines, others, strict=True)
                if cosine > 0
            ]
        return out


def _check_shape(vectors: np.ndarray, count: int, items: str) -> None:
    if np.ndim(vectors) != 2 or len(vectors) != count:
        shape = np.shape(vectors)
        raise DataError(f"Expected one vector for each of {count} {items}, got the shape {shape}.")


def _nearest(table: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the largest products of each row with other rows, and the numbers of these rows.

    Args:
        table: ``(rows, width)``, rows of length 1.
        count: Number of products for each row, below the number of rows.

    Returns:
        Two tensors ``(rows, count)``, largest first.
    """
    found = []
    for start in range(0, len(table), TILE):
        products = table[start : start + TILE] @ table.T
        products.diagonal(start).fill_(-2.0)  # a word is not its own neighbour
        found.append(products.topk(count, dim=1))
    return torch.cat([top.values for top in found]), torch.cat([top.indices for top in found])


class EmbeddingNearestWords(VectorNearestWords):
    """Nearest words by a model's own token vectors; needs no further data.

    Args:
        vocabulary: The tokens.
        vectors: Their vectors, ``(tokens, width)``.

    Raises:
        DataError: Tokens and vectors differ in number, or a vector is not finite.
    """

    name = "embedding"

    def __init__(self, vocabulary: Vocabulary, vectors: np.ndarray) -> None:
        _check_shape(vectors, len(vocabulary), "tokens")
        words = vocabulary.words()
        super().__init__(list(words), vectors[list(words.values())])


class WordNetNearestWords:
    """Nearest words by common senses in WordNet.

    Base forms are looked up, as in PWWS. If the common sense is the first one of both words, for
    their part of speech, in WordNet's order, their nearness is 1; if it is the second of either,
    1/2, the third 1/3, and so on. Ties go to the word that comes first. With these words, a student
    knows the substitutions of PWWS and similar attacks.

    Args:
        wordnet: Folder of WordNet's database; see :func:`rosearch.wordnet.find_wordnet`.

    Raises:
        MissingResourceError: WordNet is not installed.
    """

    def __init__(self, wordnet: str | os.PathLike[str] | None = None) -> None:
        self._wordnet = WordNet(wordnet)

    @property
    def settings(self) -> Mapping[str, object]:
        """Name, and a digest of WordNet's files."""
        return {"name": "wordnet", "digest": self._wordnet.digest}

    def neighbours(self, words: Sequence[str], *, count: int) -> Neighbours:
        """Return the synonyms of each word that are among ``words``."""
        place = {word: k for k, word in reversed(list(enumerate(words)))}
        out: Neighbours = []
        for word in words:
            ranks = self._wordnet.ranked(word).items()
            found = [(rank, place[name]) for name, rank in ranks if name in place and name != word]
            out.append([(words[k], 1.0 / rank) for rank, k in sorted(found)[:count]])
        return out


class CachedNearestWords:
    """Nearest words that are computed once in a process, for all students of a search.

    The cache is by settings, words and count. Short lists are beginnings of long ones, so 16
    neighbours are looked up at once.

    Args:
        nearest_words: Where to look them up.
    """

    cache: ClassVar[dict[str, Neighbours]] = {}
    """Latest results."""

    def __init__(self, nearest_words: NearestWords) -> None:
        self._nearest_words = nearest_words
        self.settings = nearest_words.settings

    def neighbours(self, words: Sequence[str], *, count: int) -> Neighbours:
        """See :class:`~rosearch.operators.NearestWords`."""
        longest = max(count, _MIN_COUNT)
        key = json.dumps([dict(self.settings), list(words), longest], sort_keys=True)
        if key not in self.cache:
            while len(self.cache) >= _MAX_CACHED:
                self.cache.pop(next(iter(self.cache)))
            self.cache[key] = self._nearest_words.neighbours(words, count=longest)
        return [near[:count] for near in self.cache[key]]
