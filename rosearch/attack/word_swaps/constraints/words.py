"""Constraints on words and characters, which need no model."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rosearch.attack.text import Words
from rosearch.attack.word_swaps.constraints.base import Constraint
from rosearch.checks import refused, whole_number
from rosearch.checks import share as check_share
from rosearch.errors import ArgumentError
from rosearch.stop_words import STOP_WORDS
from rosearch.words import cluster_borders


class NoRepeat(Constraint):
    """A replaced word is not replaced again."""

    name = "no-repeat"

    def allows_word(self, text: Words, index: int) -> bool:
        return index not in text.changed


class NoStopWords(Constraint):
    """Stop words are not replaced.

    The comparison is case-sensitive, as in TextAttack: "The" at the start of a sentence may be
    replaced, "the" may not.

    Args:
        stop_words: The stop words. Default: :data:`STOP_WORDS`.

    Raises:
        ArgumentError: ``stop_words`` is a single string.
    """

    name = "no-stop-words"
    reads_word_alone = True

    def __init__(self, stop_words: Iterable[str] | None = None) -> None:
        if isinstance(stop_words, str):
            raise refused("stop_words", "a list of words", stop_words)
        self._words = STOP_WORDS if stop_words is None else frozenset(stop_words)
        self.stop_words: str | list[str] = (
            "nltk-english-198" if stop_words is None else sorted(self._words)
        )

    def allows_word(self, text: Words, index: int) -> bool:
        return text.pieces[2 * index + 1] not in self._words


class MinWordLength(Constraint):
    """Short words are not replaced.

    Args:
        length: Minimum number of characters (grapheme clusters) of a word that may be replaced.

    Raises:
        ArgumentError: ``length`` is not a whole number from 1.
    """

    name = "min-word-length"
    reads_word_alone = True

    def __init__(self, length: int) -> None:
        self.length = whole_number("length", length)

    def allows_word(self, text: Words, index: int) -> bool:
        return len(cluster_borders(text.pieces[2 * index + 1])) > self.length


class MaxWordsChanged(Constraint):
    """Limits how many words differ from the original word in the same place.

    Like TextAttack's ``MaxWordsPerturbed``: a share is rounded up, so one word of a short text may
    always be perturbed, and inserting a word makes all words after it differ. Unlike there, a share
    of 0 allows no change.

    Args:
        count: Maximum number of words. Default: no limit.
        share: Maximum number of words as a share of those of the shorter text, from 0 to 1.
            Default: no limit.

    Raises:
        ArgumentError: Neither is given, or one is out of range.
    """

    name = "max-words-changed"

    def __init__(self, count: int | None = None, *, share: float | None = None) -> None:
        if count is None and share is None:
            raise ArgumentError("MaxWordsChanged needs count or share, got neither.")
        self.count = None if count is None else whole_number("count", count, 0)
        self.share = None if share is None else check_share("share", share)

    def most_changed(self, words: int) -> int | None:
        """The smaller of ``count`` and the share, rounded up."""
        shares = [] if self.share is None else [math.ceil(words * self.share)]
        return min(shares if self.count is None else [self.count, *shares])

    def allows_text(self, original: Words, candidate: Words) -> bool:
        if len(original) == len(candidate):
            differing = len(_differing(original, candidate))
        else:
            pairs = zip(original.words, candidate.words, strict=False)
            differing = sum(before != after for before, after in pairs)
        if self.count is not None and differing > self.count:
            return False
        shorter = min(len(original), len(candidate))
        return self.share is None or differing <= math.ceil(shorter * self.share)

    def allows_swap(self, original: Words, current: Words, index: int) -> bool:
        """One more word may differ, or the original one would be allowed to come back."""
        read = ("allows_text", "examine", "most_changed")
        is_overridden = any(getattr(type(self), x) is not getattr(MaxWordsChanged, x) for x in read)
        if is_overridden or len(original) != len(current):
            return True
        differing = _differing(original, current)
        least = len(differing) - 1 if index in differing else len(differing) + 1
        most = self.most_changed(len(original))
        return most is None or least <= most


def _differing(original: Words, text: Words) -> set[int]:
    """Indices of the words that are others than in a text of as many words."""
    before, after = original.pieces, text.pieces
    return {i for i in text.changed if before[2 * i + 1] != after[2 * i + 1]}


class MaxChangedShare(Constraint):
    """Stops replacing words once a share of them has been replaced.

    Like TextAttack's ``MaxModificationRate``. Unlike :class:`MaxWordsChanged` it counts the words
    replaced in the current text, and is checked before candidates are made.

    Args:
        share: Maximum number of words as a share of all, from 0 to 1, rounded up.
        at_least: Number of words that may be replaced however small the share is.

    Raises:
        ArgumentError: A number is out of range.
    """

    name = "max-changed-share"

    def __init__(self, share: float, *, at_least: int = 1) -> None:
        self.share = check_share("share", share)
        self.at_least = whole_number("at_least", at_least, 0)

    def most_changed(self, words: int) -> int | None:
        """The larger of ``at_least`` and the share, rounded up."""
        return max(math.ceil(words * self.share), self.at_least)

    def allows_word(self, text: Words, index: int) -> bool:
        return len(text.changed) < max(math.ceil(len(text) * self.share), self.at_least)


class MaxEditDistance(Constraint):
    """Limits the character edits from the original text.

    Args:
        limit: Maximum Levenshtein distance (insertions, deletions and substitutions).

    Raises:
        ArgumentError: ``limit`` is not a whole number from 0.
    """

    name = "edit-distance"

    def __init__(self, limit: int = 30) -> None:
        self.limit = whole_number("limit", limit, 0)

    def allows_text(self, original: Words, candidate: Words) -> bool:
        if len(original) == len(candidate):
            # The sum over words is an upper bound, and settles almost every case at little cost.
            left = self.limit
            changed = [
                (original.pieces[2 * index + 1], candidate.pieces[2 * index + 1])
                for index in candidate.changed
            ]
            if sum(max(len(before), len(after)) for before, after in changed) <= left:
                return True
            for before, after in changed:
                fits = (k for k in range(left + 1) if within_edits(before, after, k))
                left -= next(fits, left + 1)
                if left < 0:
                    break
            if left >= 0:
                return True
        return within_edits(original.text, candidate.text, self.limit)


def within_edits(a: str, b: str, limit: int) -> bool:
    """Whether the Levenshtein distance of ``a`` and ``b`` is at most ``limit``.

    Landau and Vishkin 1989: for each number of edits and each diagonal of the table of distances,
    how far one gets. The time is linear in the length of the texts.
    """
    goal = len(b) - len(a)
    if abs(goal) > limit:
        return False
    reached: dict[int, int] = {}
    for edits in range(limit + 1):
        further: dict[int, int] = {}
        for diagonal in range(-edits, edits + 1):
            i = max(
                reached.get(diagonal, -1) + 1,
                reached.get(diagonal - 1, -1),
                reached.get(diagonal + 1, -1) + 1,
            )
            i = min(i, len(a), len(b) - diagonal)
            if i < 0 or i + diagonal < 0:
                continue
            i += _common_length(a, b, i, i + diagonal)
            if diagonal == goal and i == len(a):
                return True
            further[diagonal] = i
        reached = further
    return False


def _common_length(a: str, b: str, i: int, j: int) -> int:
    """Length of the longest common prefix of ``a[i:]`` and ``b[j:]``.

    Slices of doubling length are compared: a loop over characters would take most of the time of an
    attack on a long text.
    """
    longest = min(len(a) - i, len(b) - j)
    length, step = 0, 1
    while step:
        end = length + step
        if end <= longest and a[i + length : i + end] == b[j + length : j + end]:
            length, step = end, 2 * step
        else:
            step //= 2
    return length
