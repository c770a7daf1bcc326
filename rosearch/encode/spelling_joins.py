"""Known words that three words in a row may be joined to."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from itertools import islice

_SHORT = 3
"""Letters with which so many words begin and end that they are not looked up."""
_MANY = 200
"""Words that are looked at."""


class Joins:
    """Tells whether two words that are no known word together may be one with a third.

    In ``"to t e"`` the last two are no word, but the first two are, and all three are ``"tote"``.

    Args:
        known: The known words.
    """

    def __init__(self, known: Collection[str]) -> None:
        self._known = known
        self._words = sorted(known)
        self._reversed = sorted(word[::-1] for word in known)

    def with_one_before(self, left: str, right: str) -> bool:
        """Whether a word may be joined with ``left`` and then with ``right``; also if unsure."""
        found = _starting(self._reversed, (left + right)[::-1])
        return found is None or any(word[len(right) :][::-1] in self._known for word in found)

    def with_one_behind(self, left: str, right: str) -> bool:
        """Whether a word may be joined with ``right`` and then with ``left``; also if unsure."""
        found = _starting(self._words, left + right)
        return found is None or any(word[len(left) :] in self._known for word in found)


def _starting(words: Sequence[str], start: str) -> Sequence[str] | None:
    """The longer ones of sorted words that start like this; ``None`` if they are too many."""
    if len(start) <= _SHORT:
        return None
    found = list(islice(_from(words, start), _MANY))
    return None if len(found) == _MANY else found


def _from(words: Sequence[str], start: str) -> Iterator[str]:
    for place in range(bisect_left(words, start), len(words)):
        word = words[place]
        if not word.startswith(start):
            return
        if word != start:
            yield word
