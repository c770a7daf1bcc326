"""Misspellings: one edit of one character, at a random position or at every one.

A character is a grapheme cluster: a letter with its combining marks.
"""

from __future__ import annotations

import string
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from rosearch.attack.word_swaps.substitutions.base import Substitution, Union
from rosearch.errors import ArgumentError
from rosearch.words import cluster_borders

# Keyboard neighbours and homoglyphs are those of TextAttack.
_KEYS = (
    "qwas wqeasd ewsdfr redfgt trfghy ytghju uyhjki iujklo oiklp pol aqwszx sqweadzx dwerfcxs "
    "fertgvcd grtyhbvd htyugjbn jyuikmnh kuiolmj liopk zasx xsdzc cxdfv vcfgb bvghn nbhjm mnjk"
)
_NEIGHBOURS = {keys[0]: keys[1:] for keys in _KEYS.split()}
_NEIGHBOURS.update({key.upper(): keys.upper() for key, keys in _NEIGHBOURS.items()})
_HOMOGLYPHS = dict(
    zip(
        "-9876543210'abcdefghijklmnopqrstuvwxyz",
        "\u02d7\u09ed\u0222\U0001d7d5\u0431\u01bc\u13ce\u01b7\u14bflO`\u0251\u042c\u03f2\u0501"
        "\u0435\U0001d68f\u0261\u0570\u0456\u03f3\U0001d48c\u217c\uff4d\u0578\u043e\u0440\u051b"
        "\u2c85\u0455\U0001d69d\u057d\u0475\u051d\u00d7\u0443\u1d22",
        strict=True,
    )
)


class CharacterEdit(Substitution, ABC):
    """One edit of a word, at one random position or at every one.

    Words of one character have no edits.

    Args:
        every: Propose the edit at every position instead of one drawn at random.
        skip_first: Keep the first character.
        skip_last: Keep the last character.
    """

    _draws: ClassVar[tuple[int, int]] = (1, 0)
    """Random numbers for an edit at one position, and at every one."""
    _width: ClassVar[int] = 1
    """Characters that an edit touches."""
    _min_length: ClassVar[int] = 2
    """Minimum length of a word that has edits."""
    _min_positions: ClassVar[int] = 1
    """Minimum number of positions of a word that has edits."""

    def __init__(
        self, *, every: bool = False, skip_first: bool = False, skip_last: bool = False
    ) -> None:
        self.every = every
        self.skip_first = skip_first
        self.skip_last = skip_last

    @property
    def draws(self) -> int:
        """Number of random numbers that one proposal uses."""
        return self._draws[self.every]

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        borders = cluster_borders(word)
        length = len(borders) - 1
        end = length - int(self.skip_last) - (self._width - 1)
        positions: Sequence[int] = range(int(self.skip_first), end)
        if length < self._min_length or len(positions) < self._min_positions:
            return ()
        if not self.every:
            positions = [positions[int(numbers[0] * len(positions))]]
        edits = dict.fromkeys(self._edits(word, borders, positions, numbers))
        edits.pop(word, None)
        return list(edits)

    @abstractmethod
    def _edits(
        self,
        word: str,
        borders: Sequence[int],
        positions: Sequence[int],
        numbers: Sequence[float],
    ) -> list[str]:
        """The edits of ``word`` at ``positions``, characters from 0, which ``borders`` part."""


class _LetterEdit(CharacterEdit):
    """An edit that adds a random letter."""

    _draws = (2, 1)
    _replaced: ClassVar[int]
    """Characters that the letter replaces."""

    def __init__(self, *, letters: str = string.ascii_letters, **settings: bool) -> None:
        super().__init__(**settings)
        if not letters:
            raise ArgumentError("letters must not be empty.")
        self.letters = letters

    def _edits(
        self,
        word: str,
        borders: Sequence[int],
        positions: Sequence[int],
        numbers: Sequence[float],
    ) -> list[str]:
        # In every position one number seeds all letters, as their count depends on the word.
        seed, size = numbers[-1], len(self.letters)
        drawn: Sequence[int] = [int(seed * size)]
        if self.every:
            rng = np.random.default_rng(int(seed * 2**53))
            drawn = rng.integers(size, size=len(positions)).tolist()
        return [
            word[: borders[i]] + self.letters[letter] + word[borders[i + self._replaced] :]
            for i, letter in zip(positions, drawn, strict=True)
        ]


class CharacterInsertion(_LetterEdit):
    """Inserts a random letter before a character.

    Args:
        letters: Letters to draw from. Default: a-z and A-Z.
        every: Insert at every position, a new letter each, instead of one drawn at random.
        skip_first: Insert nothing before the first character.
        skip_last: Insert nothing before the last character.

    Raises:
        ArgumentError: ``letters`` is empty.
    """

    name = "character-insertion"
    _replaced = 0


class CharacterSubstitution(_LetterEdit):
    """Replaces a character by a random letter.

    Args:
        letters: Letters to draw from. Default: a-z and A-Z.
        every: Replace at every position, a new letter each, instead of one drawn at random.
        skip_first: Keep the first character.
        skip_last: Keep the last character.

    Raises:
        ArgumentError: ``letters`` is empty.
    """

    name = "character-substitution"
    _replaced = 1


class CharacterDeletion(CharacterEdit):
    """Deletes a character."""

    name = "character-deletion"

    def _edits(
        self,
        word: str,
        borders: Sequence[int],
        positions: Sequence[int],
        numbers: Sequence[float],
    ) -> list[str]:
        return [word[: borders[i]] + word[borders[i + 1] :] for i in positions]


class CharacterSwap(CharacterEdit):
    """Swaps a character with the next one."""

    name = "character-swap"
    _width = 2

    def _edits(
        self,
        word: str,
        borders: Sequence[int],
        positions: Sequence[int],
        numbers: Sequence[float],
    ) -> list[str]:
        edits = []
        for i in positions:
            start, middle, end = borders[i : i + 3]
            edits.append(word[:start] + word[middle:end] + word[start:middle] + word[end:])
        return edits


class KeyboardNeighbours(CharacterEdit):
    """Replaces a letter by a neighbouring one on a QWERTY keyboard, in the same case.

    With ``every``, all neighbours are proposed. A random position without a letter has no edit. As
    in TextAttack's ``WordSwapQWERTY``, a word with a single position has none.
    """

    name = "keyboard-neighbours"
    _draws = (2, 0)
    _min_positions = 2

    def _edits(
        self,
        word: str,
        borders: Sequence[int],
        positions: Sequence[int],
        numbers: Sequence[float],
    ) -> list[str]:
        edits = []
        for i in positions:
            start, end = borders[i : i + 2]
            keys = _NEIGHBOURS.get(word[start:end], "")
            if keys and not self.every:
                keys = keys[int(numbers[1] * len(keys))]
            edits += [word[:start] + key + word[end:] for key in keys]
        return edits


class Homoglyphs(CharacterEdit):
    """Replaces a character by one that looks the same, or nearly so.

    Digits, the lower-case letters a-z, hyphen and apostrophe have one homoglyph each, those of
    TextAttack's ``WordSwapHomoglyphSwap``; capitals have none. A random position without a
    homoglyph has no edit.

    Args:
        every: Propose the edit at every position instead of one drawn at random.
        skip_first: Keep the first character.
        skip_last: Keep the last character.
    """

    name = "homoglyphs"
    _min_length = 1

    def __init__(self, *, every: bool = True, **settings: bool) -> None:
        super().__init__(every=every, **settings)

    def _edits(
        self,
        word: str,
        borders: Sequence[int],
        positions: Sequence[int],
        numbers: Sequence[float],
    ) -> list[str]:
        spans = [(borders[i], borders[i + 1]) for i in positions]
        return [
            word[:start] + _HOMOGLYPHS[word[start:end]] + word[end:]
            for start, end in spans
            if word[start:end] in _HOMOGLYPHS
        ]


class CharacterEdits(Union):
    """The four edits of DeepWordBug, one random instance of each (Gao et al. 2018, section IV-C).

    Two neighbouring characters swapped, one replaced by a letter, one deleted, and a letter
    inserted before one. Letters are a-z and A-Z. Words of one character have no edits. As in
    TextAttack, the first and last characters may change too.
    """

    name = "character-edits"

    def __init__(self) -> None:
        super().__init__(
            [CharacterSwap(), CharacterSubstitution(), CharacterDeletion(), CharacterInsertion()]
        )
