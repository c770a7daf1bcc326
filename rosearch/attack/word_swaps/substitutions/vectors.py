"""Nearest words by word vectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rosearch.attack.resources.word_vectors import find_vectors
from rosearch.attack.word_swaps.substitutions.base import Substitution
from rosearch.checks import whole_number


class NearestNeighbours(Substitution):
    """The nearest words by their vectors, in the case of the word they replace.

    Like TextAttack's ``WordSwapEmbedding``: words are looked up in lower case, and a word without a
    vector has no replacements.

    Args:
        count: Number of neighbours.
        vectors: See :func:`rosearch.attack.resources.word_vectors.find_vectors`.

    Raises:
        MissingResourceError: There are no vectors.
        ArgumentError: ``count`` is not a whole number from 1.
    """

    name = "nearest-neighbours"

    def __init__(self, count: int = 15, *, vectors: Any = None) -> None:
        self.count = whole_number("count", count)
        self.vectors = find_vectors(vectors)

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        (near,) = self.vectors.nearest([word.lower()], self.count)
        cased = dict.fromkeys(match_case(found, word) for found in near)
        cased.pop(word, None)
        return list(cased)

    def prepare(self, words: Iterable[str]) -> None:
        self.vectors.nearest(sorted({word.lower() for word in words}), self.count)


def match_case(word: str, model: str) -> str:
    """``word`` in lower case, upper case or capitalised, like ``model``.

    As in TextAttack, a model in any other case leaves ``word`` unchanged.
    """
    if model.islower():
        return word.lower()
    if model.isupper() and len(model) > 1:
        return word.upper()
    if model[:1].isupper() and model[1:].islower():
        return word.capitalize()
    return word
