"""A constraint on word vectors: a new word must be close to the word it replaces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from rosearch.attack.resources.oracles import Asking
from rosearch.attack.resources.word_vectors import find_vectors
from rosearch.attack.word_swaps.constraints.base import Change, Constraint, Examined
from rosearch.checks import number
from rosearch.errors import ArgumentError


class WordCosine(Constraint):
    """Requires the vector of a new word to be close to that of the original word in its place.

    Like TextAttack's ``WordEmbeddingDistance``: words are looked up in lower case. Each word of a
    replacement of several words is compared with the original word in the same place, and refused
    where the original has none.

    Args:
        minimum: Minimum cosine of the angle between the two vectors.
        max_distance: Maximum squared Euclidean distance (TextAttack's ``max_mse_dist``). Give
            either this or ``minimum``.
        vectors: See :func:`rosearch.attack.resources.word_vectors.find_vectors`.
        allow_unknown: Whether a pair is allowed if one of the words has no vector.

    Raises:
        MissingResourceError: There are no vectors.
        ArgumentError: A number is out of range, or both or neither of ``minimum`` and
            ``max_distance`` is given.
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
            raise ArgumentError(
                f"Give either minimum (a cosine) or max_distance (a squared distance), got "
                f"{minimum!r} and {max_distance!r}."
            )
        self.minimum = None if minimum is None else number("minimum", minimum, -1)
        self.max_distance = (
            None if max_distance is None else number("max_distance", max_distance, 0)
        )
        self.vectors = find_vectors(vectors)
        self.allow_unknown = allow_unknown

    def examine(self, change: Change) -> Asking[Examined]:
        yield from ()
        original = change.original.words
        allowed = [True] * len(change.candidates)
        # By the row of the original word: the rows to compare with it, and their candidates.
        pairs: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for position, index in change.all_new_words():
            if index >= len(original):
                allowed[position] = False
                continue
            new = change.candidates[position].pieces[2 * index + 1]
            old_row, new_row = self.vectors.rows([original[index].lower(), new.lower()])
            if old_row >= 0 and new_row >= 0:
                pairs[old_row].append((new_row, position))
            elif not self.allow_unknown:
                allowed[position] = False
        for row, others in pairs.items():
            close = self._close(row, [other for other, _ in others])
            for (_, position), passes in zip(others, close, strict=True):
                if not passes:
                    allowed[position] = False
        return Examined(allowed)

    def _close(self, row: int, others: Sequence[int]) -> Sequence[bool]:
        if self.minimum is not None:
            return list((self.vectors.cosines(row, others) >= self.minimum).tolist())
        return list((self.vectors.distances(row, others) <= self.max_distance).tolist())
