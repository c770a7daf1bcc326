"""The noisy channel: which known words a misspelt one may come from, and how probably.

The probability that a word is written as a typo times the probability of the word (Kernighan,
Church and Gale 1990). The four edits are equally probable, and so are the places of a word; an
exchanged letter is a neighbour on the keyboard more often than chance.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from functools import cached_property
from itertools import chain

import numpy as np
from rapidfuzz.distance import OSA

_LETTERS = string.ascii_lowercase
_ALL = _LETTERS + "-'"
EDIT = 1 / 4
"""The probability of each of the four edits."""

_LETTER = 1 / len(_LETTERS)

UNSEEN = 0.05
"""Occurrences of a word that the training texts lack."""

_NEAR = 0.2
"""Share of exchanged letters that are neighbours on the keyboard."""

_SPLIT = 0.01
"""Share of words that a space cuts into two known words."""

_LONG = 5
"""Letters of the shortest word that two edits lead to."""

_FREQUENT = 3
"""Occurrences of the rarest word that two edits lead to: names and other words that are not known
are two edits away from rare words more often than typos are."""

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_PLACES = {
    letter: (column + row / 2, row)
    for row, keys in enumerate(_ROWS)
    for column, letter in enumerate(keys)
}
_KEYS = {
    letter: "".join(
        other
        for other, (x, y) in _PLACES.items()
        if other != letter and abs(x - place[0]) <= 1 and abs(y - place[1]) <= 1
    )
    for letter, place in _PLACES.items()
}
_BITS = np.array([number.bit_count() for number in range(1 << 16)], dtype=np.uint8)


class Channel:
    """Known words that a typo may come from.

    Probabilities of words are in occurrences in the training texts, so that they compare with each
    other.

    Args:
        counts: Occurrences of each known word, which are lower-case letters, hyphens and
            apostrophes.
    """

    def __init__(self, counts: Mapping[str, float]) -> None:
        self._counts = counts
        self._total = sum(counts.values()) + 1
        self._words = frozenset(counts)

    def one_edit(self, typo: str) -> dict[str, float]:
        """Return the words that one edit turns into ``typo``, with their probabilities.

        Args:
            typo: A lower-case word of at least two letters.
        """
        words, keys, owners = self._by_rest
        own = np.array([hash(rest) for rest in rests(typo)], dtype=np.int64)
        first, last = keys.searchsorted(own), keys.searchsorted(own, side="right")
        found: dict[str, float] = {}
        for k in np.flatnonzero(first < last).tolist():
            for owner in owners[first[k] : last[k]].tolist():
                word = words[owner]
                if word not in found and (probability := self.single_edit(word, typo)):
                    found[word] = probability
        return found

    def single_edit(self, word: str, typo: str) -> float:
        """Return what :meth:`one_edit` says of one word, 0 if it is not one edit away.

        Only letters of a to z, hyphens and apostrophes are left out or exchanged.
        """
        length, longer = len(typo), len(typo) - len(word)
        if abs(longer) > 1 or word == typo:
            return 0.0
        pairs = enumerate(zip(word, typo, strict=False))
        first = next((i for i, (a, b) in pairs if a != b), min(length, len(word)))
        if longer == 1:
            share = _deletions(typo, word) * _LETTER / max(1, length - 1)
        elif longer == -1:
            share = _deletions(word, typo) / (length + 1) if word[first] in _ALL else 0.0
        elif word[first + 1 :] == typo[first + 1 :]:
            share = _exchange(word[first], typo[first]) / length if word[first] in _ALL else 0.0
        elif word[first : first + 2] == typo[first : first + 2][::-1]:
            share = float(word[first + 2 :] == typo[first + 2 :]) / (length - 1)
        else:
            return 0.0
        return EDIT * share * self.count(word)

    def capital(self, typo: str, place: int) -> dict[str, float]:
        """Return the words in which one edit puts a capital at ``place``, with probabilities.

        A letter is put in or exchanged in either case; it becomes its own capital as often as a
        neighbour on the keyboard. Or the capital at the start changes places with the next letter.

        Args:
            typo: A word of at least two letters, in lower case.
            place: Where the capital is, from 1.
        """
        head, own, tail = typo[:place], typo[place], typo[place + 1 :]
        length = len(typo)
        edits = {
            head + c + tail: (_NEAR if c == own else (1 - _NEAR) * _LETTER) / length for c in _ALL
        }
        edits[head + tail] = _LETTER / (length - 1)
        if place == 1:
            edits[own + head + tail] = 1 / (length - 1)
        return {
            word: EDIT * edits[word] * self.count(word) for word in self._words.intersection(edits)
        }

    def two_edits(self, typo: str) -> dict[str, float]:
        """Return the words that two edits turn into ``typo``.

        They have at least five letters and occur at least three times. Their probabilities take an
        edit for as probable as the average one.
        """
        share = (EDIT / 2 / len(typo)) ** 2
        return {word: share * self.count(word) for word in self._near(typo)}

    def cuts(self, typo: str) -> dict[str, float]:
        """Return the pairs of words that are ``typo`` without the space between them."""
        share = EDIT / (len(typo) + 1) / self._total
        counts = self._counts
        halves = ((typo[:i], typo[i:]) for i in range(1, len(typo)))
        return {
            f"{a} {b}": share * counts.get(a, 0) * counts.get(b, 0)
            for a, b in halves
            if (len(a) > 1 or a in "ai") and len(b) > 1 and counts.get(a) and counts.get(b)
        }

    def is_split(self, first: str, second: str) -> bool:
        """Whether two known words are rather one known word that a space has cut."""
        apart = self.count(first) * self.count(second) / self._total
        return _SPLIT * self.count(first + second) > apart

    def count(self, word: str) -> float:
        """Return the occurrences of a word, above 0 for an unseen one."""
        return self._counts.get(word, 0) + UNSEEN

    def _near(self, typo: str) -> list[str]:
        words, masks, starts = self._long_words
        rows = slice(*(starts.searchsorted(len(typo) + n) for n in (-2, 3)))
        different = (masks[rows] ^ _mask(typo)).view(np.uint16).reshape(-1, 4)
        # Each edit changes at most two of the letters that a word consists of.
        bits = _BITS.take(different).T
        near = np.flatnonzero(bits[0] + bits[1] + bits[2] + bits[3] <= 4) + rows.start
        # Neighbours that are swapped count as one edit.
        close = (words[i] for i in near.tolist())
        return [word for word in close if OSA.distance(word, typo, score_cutoff=2) == 2]

    @cached_property
    def _by_rest(self) -> tuple[list[str], np.ndarray, np.ndarray]:
        """The words, the hashes of what one deletion leaves of them, sorted, and whose they are.

        Strings in a dictionary would take far more memory.
        """
        words = sorted(self._words)
        left = [[hash(rest) for rest in rests(word)] for word in words]
        keys = np.fromiter(chain.from_iterable(left), dtype=np.int64)
        owners = np.repeat(np.arange(len(words), dtype=np.int32), list(map(len, left)))
        order = np.argsort(keys, kind="stable")
        return words, keys[order], owners[order]

    @cached_property
    def _long_words(self) -> tuple[list[str], np.ndarray, np.ndarray]:
        counts = self._counts
        frequent = (word for word, n in counts.items() if len(word) >= _LONG and n >= _FREQUENT)
        words = sorted(frequent, key=len)
        masks = np.array([_mask(word) for word in words], dtype=np.uint64)
        return words, masks, np.array([len(word) for word in words])


def rests(word: str) -> set[str]:
    """Return a word and what one deletion leaves of it.

    Words one edit apart have one in common: an insertion in one is a deletion in the other, and
    exchanged letters, or neighbours that have changed places, leave the same when one of them is
    deleted in each. So have some others.
    """
    return {word, *(word[:i] + word[i + 1 :] for i in range(len(word)))}


def best(found: Mapping[str, float]) -> str | None:
    """Return the most probable candidate, if there is one; ties are broken by spelling."""
    return max(found, key=lambda word: (found[word], word), default=None)


def _deletions(longer: str, shorter: str) -> int:
    """At how many places a letter can be left out of one word to make the other."""
    return sum(longer[:i] + longer[i + 1 :] == shorter for i in range(len(longer)))


def _exchange(meant: str, written: str) -> float:
    """The probability of the letter that stands for another one in a typo."""
    near = _KEYS.get(meant, "")
    return (1 - _NEAR) * _LETTER + (_NEAR / len(near) if written in near else 0.0)


def _mask(word: str) -> int:
    """Bits for the letters of a word: of each, whether it occurs, and whether it does twice."""
    mask = 0
    for character in word:
        bit = 1 << (ord(character) - 97 if character in _LETTERS else 26 + ord(character) % 6)
        mask |= bit << 32 if mask & bit else bit
    return mask
