"""Which words are near each other: by vectors, by the teacher's own vectors, or by WordNet."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from rosearch.errors import DataError
from rosearch.operators import Lexicon, Vocabulary
from rosearch.wordnet import WordNet

Neighbours = list[list[tuple[str, float]]]

_BATCH = 2048
_AT_LEAST = 16
_KEPT = 4
_known: dict[str, Neighbours] = {}


class VectorLexicon:
    """Words are as near as the cosine of the angle between their vectors.

    The mean of all vectors is taken off first: vectors of language models lie in a narrow cone,
    where any two words look alike (Mu and Viswanath 2018). Antonyms are used alike and so come out
    near; counter-fitted vectors are made against that.

    Args:
        words: The words, each once; such as ``WordVectors.words`` of
            :mod:`rosearch.attack.resources.word_vectors`, or gensim's ``index_to_key``.
        vectors: Their vectors, ``(words, width)``.

    Raises:
        DataError: There is not one vector for each word, or one is not finite.
    """

    name = "vectors"

    def __init__(self, words: Sequence[str], vectors: np.ndarray) -> None:
        if np.ndim(vectors) != 2 or len(vectors) != len(words):
            raise DataError(
                f"Expected one vector a word, got {len(words)} words and an array of shape "
                f"{np.shape(vectors)}."
            )
        if not np.isfinite(vectors).all():
            # One alone would make the mean, and with it every cosine, no number.
            raise DataError("Expected finite vectors; some hold NaN or infinity. Leave these out.")
        self._rows = {word: row for row, word in reversed(list(enumerate(words)))}
        self._vectors = vectors
        self._digest: str | None = None

    @property
    def settings(self) -> Mapping[str, object]:
        """Name, and a digest of words and vectors."""
        if self._digest is None:
            digest = hashlib.blake2b("\n".join(self._rows).encode(), digest_size=16)
            digest.update(np.ascontiguousarray(self._vectors, dtype=np.float32).tobytes())
            self._digest = digest.hexdigest()
        return {"name": self.name, "digest": self._digest}

    def neighbours(self, words: Sequence[str], *, count: int) -> Neighbours:
        """The nearest of ``words`` to each; a word without a vector is looked up in lower case,
        and has no neighbours where that has none either.
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


def _nearest(table: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest products of each row with other rows, and which rows these are.

    Args:
        table: ``(rows, width)``, rows of length 1.
        count: How many, below the number of rows.

    Returns:
        Two tensors ``(rows, count)``, largest first.
    """
    values = torch.full((len(table), count), -2.0)
    places = torch.zeros(len(table), count, dtype=torch.long)

    def offer(rows: slice, first: int, products: torch.Tensor) -> None:
        found, at = products.topk(min(count, products.shape[1]), dim=1)
        both = torch.cat([values[rows], found], dim=1)
        values[rows], chosen = both.topk(count, dim=1)
        places[rows] = torch.cat([places[rows], at + first], dim=1).gather(1, chosen)

    for start in range(0, len(table), _BATCH):
        rows = slice(start, start + _BATCH)
        for other in range(start, len(table), _BATCH):
            columns = slice(other, other + _BATCH)
            products = table[rows] @ table[columns].T
            if other == start:
                offer(rows, start, products.fill_diagonal_(-2.0))
            else:  # products are the same both ways, so each tile serves its rows and its columns
                offer(rows, other, products)
                offer(columns, start, products.T.contiguous())
    return values, places


class EmbeddingLexicon(VectorLexicon):
    """Words are as near as in a model's own table of token vectors; always at hand.

    Args:
        vocabulary: The tokens.
        vectors: Their vectors, ``(tokens, width)``.

    Raises:
        DataError: There is not one vector for each token, or one is not finite.
    """

    name = "embedding"

    def __init__(self, vocabulary: Vocabulary, vectors: np.ndarray) -> None:
        if np.ndim(vectors) != 2 or len(vectors) != len(vocabulary):
            raise DataError(
                f"Expected one vector a token, got {len(vocabulary)} tokens and an array of shape "
                f"{np.shape(vectors)}."
            )
        words = vocabulary.words()
        super().__init__(list(words), vectors[list(words.values())])


class WordNetLexicon:
    """Words are near that share a sense in WordNet, the nearer the more frequent the sense.

    Base forms are looked up, as PWWS does. A neighbour by a sense that is the most frequent one of
    both words, for their part of speech, has a nearness of 1; where it is the second of either,
    of 1/2, the third 1/3, and so on. Of words equally near, the one that comes first is nearer. A
    student that is made with this lexicon knows the list that PWWS and its kin draw from.

    Args:
        wordnet: Folder of WordNet's database; see :func:`rosearch.wordnet.find_wordnet`.

    Raises:
        MissingResourceError: WordNet is not on this machine.
    """

    def __init__(self, wordnet: str | os.PathLike[str] | None = None) -> None:
        self._wordnet = WordNet(wordnet)

    @property
    def settings(self) -> Mapping[str, object]:
        """Name, and a digest of WordNet's files."""
        return {"name": "wordnet", "digest": self._wordnet.digest}

    def neighbours(self, words: Sequence[str], *, count: int) -> Neighbours:
        """The synonyms of each word that are among ``words``."""
        place = {word: k for k, word in reversed(list(enumerate(words)))}
        out: Neighbours = []
        for word in words:
            ranks = self._wordnet.ranked(word)
            found = [
                (rank, place[name])
                for name, rank in ranks.items()
                if name in place and name != word
            ]
            out.append([(words[k], 1.0 / rank) for rank, k in sorted(found)[:count]])
        return out


class RememberedLexicon:
    """A lexicon whose answers are kept for the rest of the process, so that a search asks once.

    Answers are kept by the lexicon's settings, the words and the count, whichever object asks. Of
    nearest-first answers a short one is the beginning of a long one, so up to 16 neighbours are
    looked up at once.

    Args:
        lexicon: What is asked.
    """

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon

    @property
    def settings(self) -> Mapping[str, object]:
        """Those of the lexicon."""
        return self._lexicon.settings

    def neighbours(self, words: Sequence[str], *, count: int) -> Neighbours:
        """See :class:`~rosearch.operators.inputs.vocabulary.Lexicon`."""
        longest = max(count, _AT_LEAST)
        parts: list[Any] = [dict(self.settings), list(words), longest]
        key = hashlib.blake2b(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        if key not in _known:
            while len(_known) >= _KEPT:
                _known.pop(next(iter(_known)))
            _known[key] = self._lexicon.neighbours(words, count=longest)
        return [near[:count] for near in _known[key]]
