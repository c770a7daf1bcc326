"""Words beside a misspelt one: how probable they make each word that it may stand for.

Church and Gale, Probability scoring for spelling correction (Statistics and Computing 1991): the
noisy channel's probability is multiplied by those of the word after its left neighbour and of the
right neighbour after the word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from rosearch.encode.spelling_channel import UNSEEN

_MAX_PAIRS = 100_000
"""Pairs that are kept, so that the file of an encoding stays small."""

_PRIOR = 10.0
"""Occurrences of a word that tell about the next one as much as its frequency does."""


def pair_counts(pairs: Mapping[tuple[str, str], int]) -> dict[str, int]:
    """Return the most frequent pairs, each as two words with a space, and their occurrences."""
    order = sorted(pairs, key=lambda pair: (-pairs[pair], pair))
    return {f"{left} {right}": pairs[left, right] for left, right in order[:_MAX_PAIRS]}


class Context:
    """Probabilities of words beside each other: counts of pairs, smoothed by those of words.

    Args:
        counts: Occurrences of each known word, in any texts.
        pairs: Occurrences of pairs of words, as of :func:`pair_counts`.
    """

    def __init__(self, counts: Mapping[str, float], pairs: Mapping[str, int]) -> None:
        self._counts = counts
        self._pairs = pairs
        self._total = sum(counts.values()) + 1
        # Unlike the counts, pairs are of the training texts alone.
        self._before: Counter[str] = Counter()
        for pair, count in pairs.items():
            self._before[pair.partition(" ")[0]] += count

    def best(self, found: Mapping[str, float], left: str | None, right: str | None) -> str | None:
        """Return the word that is most probable between two others, if there is one.

        Args:
            found: Words and their probabilities without the others.
            left: The word before; ``None``: unknown.
            right: The word after, likewise.
        """
        scores = {
            word: (probability * self._after(left, word) * self._with_next(word, right), word)
            for word, probability in found.items()
        }
        return max(scores, key=scores.__getitem__, default=None)

    def _after(self, left: str | None, word: str) -> float:
        """How much more probable ``word`` is after ``left``, but for a factor of ``left``."""
        if left is None:
            return 1.0
        pairs = self._pairs.get(f"{left} {word}", 0)
        return 1 + pairs * self._total / (_PRIOR * self._count(word))

    def _with_next(self, word: str, right: str | None) -> float:
        """The probability of ``right`` after ``word``."""
        if right is None:
            return 1.0
        pairs = self._pairs.get(f"{word} {right}", 0)
        expected = _PRIOR * self._count(right) / self._total
        return (pairs + expected) / (self._before[word] + _PRIOR)

    def _count(self, word: str) -> float:
        return self._counts.get(word, 0) + UNSEEN
