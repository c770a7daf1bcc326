"""A constraint on word vectors: a new word must be close to the word it replaces."""

from __future__ import annotations

from typing import Any

from rosearch.attack.resources.oracles import Asking
from rosearch.attack.resources.word_vectors import find_vectors
from rosearch.attack.word_swaps.constraints.base import Change, Constraint, Examined
from rosearch.checks import number
from rosearch.errors import ArgumentError


class WordCosine(Constraint):
    """Requires the vector of a new word to be close to that of the original word in its place.

    Like TextAttack's ``WordEmbeddingDistance``: words are looked up in lower case, and a pair is
    allowed if one of the words has no vector. Each word of a
    replacement of several words is compared with the original word in the same place, and refused
    where the original has none.

    Args:
        minimum: Minimum cosine of the angle between the two vectors.
        max_distance: Maximum squared Euclidean distance (TextAttack's ``max_mse_dist``). Give
            either this or ``minimum``.
        vectors: See :func:`rosearch.attack.resources.word_vectors.find_vectors`.

    Raises:
        MissingResourceError: There are no vectors.
        ArgumentError: A number is out of range, or both or neither of ``minimum`` and
            ``max_distance`` is given.
    """

    name = "word-cosine"
    reads_word_alone = True

    def __init__(
        self,
        minimum: float | None = None,
        *,
        max_distance: float | None = None,
        vectors: Any = None,
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

    def examine(self, change: Change) -> Asking[Examined]:
        yield from ()
        original = change.original.words
        allowed = [True] * len(change.candidates)
        positions: list[int] = []
        pairs: list[list[int]] = []
        for position, index in change.all_new_words():
            if index >= len(original):
                allowed[position] = False
                continue
            new = change.candidates[position].pieces[2 * index + 1]
            rows = self.vectors.rows([original[index].lower(), new.lower()])
            if min(rows) >= 0:
                positions.append(position)
                pairs.append(rows)
        old, new_rows = ([pair[side] for pair in pairs] for side in (0, 1))
        if self.minimum is not None:
            close = self.vectors.cosines(old, new_rows) >= self.minimum
        else:
            close = self.vectors.distances(old, new_rows) <= self.max_distance
        for position, passes in zip(positions, close.tolist(), strict=True):
            allowed[position] &= passes
        return Examined(allowed)
