"""Known words that three words in a row may be joined to."""

from __future__ import annotations

from collections.abc import Collection, Mapping


class Joins:
    """Tells whether words beside each other may be one known word, or one with a third.

    In ``"to t e"`` the last two are no word, but the first two are, and all three are ``"tote"``.
    In ``"t hu ology"`` the first two are ``"thu"``, which may be read as ``"the"``, and that with
    the third is ``"theology"``.

    Args:
        known: The known words.
        merged: Known words that are read as others, each as one or several words.
    """

    def __init__(self, known: Collection[str], merged: Mapping[str, str]) -> None:
        # Of two words written together, a bit for each place at which they may be cut: an inner
        # loop asks this for each replacement of each word.
        self._known = known
        self._behind: dict[str, int] = {}
        self._before: dict[str, int] = {}
        behind, before = self._behind, self._before
        for word in known:
            length = len(word)
            for cut in range(1, length):
                if word[cut:] in known:
                    for end in range(cut + 1, length):
                        part = word[:end]
                        behind[part] = behind.get(part, 0) | 1 << cut
                if word[:cut] in known:
                    for start in range(1, cut):
                        part = word[start:]
                        before[part] = before.get(part, 0) | 1 << (cut - start)
        # What the words that end, or begin, with a part are read as: its word on that side.
        self._ending: dict[str, set[str]] = {}
        self._beginning: dict[str, set[str]] = {}
        for word, form in merged.items():
            first, last = form.partition(" ")[0], form.rpartition(" ")[2]
            for cut in range(1, len(word)):
                self._ending.setdefault(word[cut:], set()).add(last)
                self._beginning.setdefault(word[:cut], set()).add(first)

    def with_one_before(self, left: str, right: str) -> bool:
        """Whether a word may be joined with ``left`` and then with ``right``."""
        if self._before.get(left + right, 0) >> len(left) & 1:
            return True
        return any(form + right in self._known for form in self._ending.get(left, ()))

    def with_one_behind(self, left: str, right: str) -> bool:
        """Whether a word may be joined with ``right`` and then with ``left``."""
        if self._behind.get(left + right, 0) >> len(left) & 1:
            return True
        return any(left + form in self._known for form in self._beginning.get(right, ()))

    def may_begin(self, first: str, word: str, other: str) -> bool:
        """Whether ``first`` and one of two words behind it may be one, or one with a third."""
        for second in (word,) if word == other else (word, other):
            if first + second in self._known or self.with_one_before(first, second):
                return True
        return False

    def may_end(self, last: str, word: str, other: str) -> bool:
        """Whether one of two words and ``last`` behind it may be one, or one with a third."""
        for first in (word,) if word == other else (word, other):
            if first + last in self._known or self.with_one_behind(first, last):
                return True
        return False
