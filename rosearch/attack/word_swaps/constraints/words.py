"""Constraints on words and characters, which need nothing but the texts."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rosearch.attack.resources.stop_words import STOP_WORDS
from rosearch.attack.settings import check_number, check_whole
from rosearch.attack.text import Words
from rosearch.attack.word_swaps.constraints.base import Constraint
from rosearch.errors import DataError


class NoRepeat(Constraint):
    """A word that was replaced is not replaced again."""

    name = "no-repeat"

    def allows_word(self, text: Words, index: int) -> bool:
        return index not in text.changed


class NoStopWords(Constraint):
    """Stop words stay.

    Words are compared with case, as TextAttack does it, so "The" at the start of a sentence may
    be replaced although "the" may not.

    Args:
        stop_words: The words. Default: :data:`STOP_WORDS`.

    Raises:
        DataError: ``stop_words`` is one string, whose letters would pass for words.
    """

    name = "no-stop-words"

    def __init__(self, stop_words: Iterable[str] | None = None) -> None:
        if isinstance(stop_words, str):
            raise DataError(
                f"stop_words is a collection of words, got the string {stop_words!r:.80}. "
                f"Give a list, of one word if need be."
            )
        self._words = STOP_WORDS if stop_words is None else frozenset(stop_words)
        self.stop_words: str | list[str] = (
            "nltk-english-198" if stop_words is None else sorted(self._words)
        )

    def allows_word(self, text: Words, index: int) -> bool:
        return text.pieces[2 * index + 1] not in self._words


class MinWordLength(Constraint):
    """Short words stay.

    Args:
        length: Fewest characters of a word that may be replaced.

    Raises:
        DataError: ``length`` is no whole number from 1.
    """

    name = "min-word-length"

    def __init__(self, length: int) -> None:
        self.length = check_whole("length", length)

    def allows_word(self, text: Words, index: int) -> bool:
        return len(text.pieces[2 * index + 1]) >= self.length


class MaxWordsChanged(Constraint):
    """At most so many words differ from the original's in the same place.

    As TextAttack's ``MaxWordsPerturbed``: a share is rounded up, so that one word of a short text
    may always be changed, and a word put in makes all words behind it differ. A share of 0
    forbids every change here and none there.

    Args:
        count: Most words. Default: no limit.
        share: Most words as a share of those of the shorter text, from 0 to 1. Default: no limit.

    Raises:
        DataError: Neither is given, ``count`` is no whole number from 0, or ``share`` is no number
            from 0 to 1.
    """

    name = "max-words-changed"

    def __init__(self, count: int | None = None, *, share: float | None = None) -> None:
        if count is None and share is None:
            raise DataError("MaxWordsChanged limits by count or share; neither was given.")
        self.count = None if count is None else check_whole("count", count, least=0)
        self.share = None if share is None else check_number("share", share, least=0, most=1)

    def allows_text(self, original: Words, candidate: Words) -> bool:
        before, after = original.words, candidate.words
        if len(before) == len(after):
            differing = sum(before[i] != after[i] for i in candidate.changed)
        else:
            differing = sum(a != b for a, b in zip(before, after, strict=False))
        if self.count is not None and differing > self.count:
            return False
        return self.share is None or differing <= math.ceil(
            min(len(before), len(after)) * self.share
        )


class MaxChangedShare(Constraint):
    """No further word is replaced once a share of them has been.

    As TextAttack's ``MaxModificationRate``. Unlike :class:`MaxWordsChanged` it counts words that
    were replaced, in the text as it is then, and is asked before candidates are made.

    Args:
        share: Most words as a share of all, from 0 to 1, rounded up.
        at_least: Words that may be replaced however small the share is.

    Raises:
        DataError: ``share`` is no number from 0 to 1, or ``at_least`` no whole number from 0.
    """

    name = "max-changed-share"

    def __init__(self, share: float, *, at_least: int = 1) -> None:
        self.share = check_number("share", share, least=0, most=1)
        self.at_least = check_whole("at_least", at_least, least=0)

    def allows_word(self, text: Words, index: int) -> bool:
        return len(text.changed) < max(math.ceil(len(text) * self.share), self.at_least)


class MaxEditDistance(Constraint):
    """At most so many characters inserted, deleted or exchanged, counted from the original.

    Args:
        limit: Largest Levenshtein distance allowed, in characters.
    """

    name = "edit-distance"

    def __init__(self, limit: int = 30) -> None:
        self.limit = limit

    def allows_text(self, original: Words, candidate: Words) -> bool:
        if len(original) != len(candidate):  # words have moved
            return edits_within(original.text, candidate.text, self.limit)
        # Word by word gives an upper bound, which settles almost every case at little cost.
        bound = 0
        for index in candidate.changed:
            before = original.pieces[2 * index + 1]
            bound += edit_distance(before, candidate.pieces[2 * index + 1])
            if bound > self.limit:
                return edits_within(original.text, candidate.text, self.limit)
        return True


def edit_distance(a: str, b: str) -> int:
    """Levenshtein distance: the fewest insertions, deletions and exchanges of a character."""
    start = 0
    shorter = min(len(a), len(b))
    while start < shorter and a[start] == b[start]:
        start += 1
    end = 0
    while end < shorter - start and a[-1 - end] == b[-1 - end]:
        end += 1
    a, b = a[start : len(a) - end], b[start : len(b) - end]
    if not a or not b:
        return len(a) + len(b)
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            best = min(diagonal + (x != y), row[j] + 1, row[j - 1] + 1)
            diagonal, row[j] = row[j], best
    return row[-1]


def edits_within(a: str, b: str, limit: int) -> bool:
    """Whether :func:`edit_distance` is at most ``limit``, in time linear in the texts' length.

    Landau and Vishkin 1989: for each number of edits and each diagonal of the table, how far one
    gets; only the diagonals that many edits away are looked at.
    """
    wanted = len(b) - len(a)
    if abs(wanted) > limit:
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
            i += _common(a, b, i, i + diagonal)
            if diagonal == wanted and i == len(a):
                return True
            further[diagonal] = i
        reached = further
    return False


def _common(a: str, b: str, i: int, j: int) -> int:
    """Length of the longest common start of ``a[i:]`` and ``b[j:]``."""
    most = min(len(a) - i, len(b) - j)
    length, step = 0, 1
    while step:
        end = length + step
        if end <= most and a[i + length : i + end] == b[j + length : j + end]:
            length, step = end, 2 * step
        else:
            step //= 2
    return length
