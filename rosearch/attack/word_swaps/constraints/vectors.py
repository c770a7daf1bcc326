"""How near a new word must be to the one it replaces, by word vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rosearch.attack.resources.oracles import Asking
from rosearch.attack.resources.word_vectors import find_vectors
from rosearch.attack.settings import check_number
from rosearch.attack.text import Words
from rosearch.attack.word_swaps.constraints.base import Change, Constraint, Examined
from rosearch.errors import DataError


class WordCosine(Constraint):
    """A new word has a vector near to that of the original's word in its place.

    As TextAttack's ``WordEmbeddingDistance``: words are looked up in lower case; of a replacement
    of several words each is compared with the word of the original in its place; one that stands
    where the original has no word is refused.

    Args:
        minimum: Least cosine of the angle between the two vectors, or ``None``.
        max_distance: Largest squared Euclidean distance (TextAttack's ``max_mse_dist``), or
            ``None``. One of the two is given.
        vectors: See :func:`rosearch.attack.resources.word_vectors.find_vectors`.
        allow_unknown: Whether a pair passes if one of the words has no vector.

    Raises:
        MissingResourceError: There are no vectors.
        DataError: Not exactly one of ``minimum`` and ``max_distance`` is given.
    """

    name = "word-cosine"

    def __init__(
        self,
        minimum: float | None = None,
        *,
        max_distance: float | None = None,
        vectors: Any = None,
        allow_unknown: bool = True,
    ) -> None:
        if (minimum is None) == (max_distance is None):
            raise DataError(
                f"Give either minimum (a cosine) or max_distance (a squared distance); got "
                f"{minimum!r} and {max_distance!r}."
            )
        self.minimum = None if minimum is None else check_number("minimum", minimum, least=-1)
        self.max_distance = (
            None if max_distance is None else check_number("max_distance", max_distance, least=0)
        )
        self.vectors = find_vectors(vectors)
        self.allow_unknown = allow_unknown

    def examine(self, change: Change) -> Asking[Examined]:
        yield from ()  # nothing to ask
        original = change.original.words
        allowed = [True] * len(change.candidates)
        # By the row of the original's word: the rows to compare with it, and whose they are.
        pairs: dict[int, tuple[list[int], list[int]]] = {}
        for place, candidate in enumerate(change.candidates):
            for index in new_words(change.current, candidate, change.index):
                if index >= len(original):
                    allowed[place] = False
                    break
                new = candidate.pieces[2 * index + 1]
                before, after = self.vectors.rows([original[index].lower(), new.lower()])
                if before >= 0 and after >= 0:
                    others, owners = pairs.setdefault(before, ([], []))
                    others.append(after)
                    owners.append(place)
                elif not self.allow_unknown:
                    allowed[place] = False
        for row, (others, owners) in pairs.items():
            for place, near in zip(owners, self._near(row, others), strict=True):
                allowed[place] = allowed[place] and near
        return Examined(allowed)

    def _near(self, row: int, others: list[int]) -> Sequence[bool]:
        if self.minimum is not None:
            return list((self.vectors.cosines(row, others) >= self.minimum).tolist())
        return list((self.vectors.distances(row, others) <= self.max_distance).tolist())


def new_words(current: Words, candidate: Words, index: int) -> range:
    """Indices of the words of ``candidate`` that stand for word ``index`` of ``current``."""
    end = index + 1 + len(candidate) - len(current)
    if end > index and not candidate.pieces[2 * index + 1]:
        return range(0)  # deleted
    return range(index, end)
