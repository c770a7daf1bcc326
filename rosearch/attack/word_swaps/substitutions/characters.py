"""Misspellings: one edit of one character, at random or in every place."""

from __future__ import annotations

import string
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rosearch.attack.word_swaps.substitutions.base import Substitution, Union
from rosearch.errors import DataError

# Neighbours on the keyboard and look-alikes are those of TextAttack, so that candidates agree.
_KEYS = (
    "qwas wqeasd ewsdfr redfgt trfghy ytghju uyhjki iujklo oiklp pol aqwszx sqweadzx dwerfcxs "
    "fertgvcd grtyhbvd htyugjbn jyuikmnh kuiolmj liopk zasx xsdzc cxdfv vcfgb bvghn nbhjm mnjk"
)
_NEIGHBOURS = {keys[0]: keys[1:] for keys in _KEYS.split()}
_NEIGHBOURS.update({key.upper(): keys.upper() for key, keys in _NEIGHBOURS.items()})
_LOOK_ALIKES = dict(
    zip(
        "-9876543210'abcdefghijklmnopqrstuvwxyz",
        "\u02d7\u09ed\u0222\U0001d7d5\u0431\u01bc\u13ce\u01b7\u14bflO`\u0251\u042c\u03f2\u0501"
        "\u0435\U0001d68f\u0261\u0570\u0456\u03f3\U0001d48c\u217c\uff4d\u0578\u043e\u0440\u051b"
        "\u2c85\u0455\U0001d69d\u057d\u0475\u051d\u00d7\u0443\u1d22",
        strict=True,
    )
)


class CharacterEdit(Substitution, ABC):
    """One edit of a word, in one random place or in every one.

    Words of one character have no edits.

    Args:
        every: Propose the edit in every place rather than in one drawn at random.
        skip_first: Leave the first character alone.
        skip_last: Leave the last character alone.
    """

    def __init__(
        self, *, every: bool = False, skip_first: bool = False, skip_last: bool = False
    ) -> None:
        self.every = every
        self.skip_first = skip_first
        self.skip_last = skip_last

    @property
    def draws(self) -> int:
        """One for the place, unless it is every one."""
        return 0 if self.every else 1

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        if len(word) <= 1:
            return ()
        places: Sequence[int] = self._places(len(word))
        if not self.every and places:
            places = [places[int(numbers[0] * len(places))]]
        edits = dict.fromkeys(self._edits(word, places, numbers))
        edits.pop(word, None)
        return list(edits)

    def _places(self, length: int) -> range:
        return range(int(self.skip_first), length - int(self.skip_last))

    @abstractmethod
    def _edits(self, word: str, places: Sequence[int], numbers: Sequence[float]) -> list[str]:
        """The edits of ``word`` at ``places``."""


class _LetterEdit(CharacterEdit):
    """An edit that brings in a letter."""

    def __init__(
        self,
        *,
        letters: str = string.ascii_letters,
        every: bool = False,
        skip_first: bool = False,
        skip_last: bool = False,
    ) -> None:
        super().__init__(every=every, skip_first=skip_first, skip_last=skip_last)
        if not letters:
            raise DataError(f"letters is a string of at least one character; got {letters!r}.")
        self.letters = letters

    @property
    def draws(self) -> int:
        """One for the place, unless it is every one, and one for all letters."""
        return 1 if self.every else 2

    def _drawn(self, count: int, numbers: Sequence[float]) -> str:
        number, size = numbers[-1], len(self.letters)
        if not self.every:
            return self.letters[int(number * size)]
        # How many letters are needed depends on the word; one number seeds them all.
        chosen = np.random.default_rng(int(number * 2**53)).integers(size, size=count)
        return "".join(self.letters[i] for i in chosen)


class CharacterInsertion(_LetterEdit):
    """A letter put in before a character.

    Args:
        letters: Letters to draw from. Default: a-z and A-Z.
        every: Propose the edit in every place, with a letter drawn for each, rather than in one.
        skip_first: Leave the first character alone.
        skip_last: Leave the last character alone.

    Raises:
        DataError: There are no letters.
    """

    name = "character-insertion"

    def _edits(self, word: str, places: Sequence[int], numbers: Sequence[float]) -> list[str]:
        drawn = self._drawn(len(places), numbers)
        return [word[:i] + x + word[i:] for i, x in zip(places, drawn, strict=False)]


class CharacterSubstitution(_LetterEdit):
    """A character replaced by a letter.

    Args:
        letters: Letters to draw from. Default: a-z and A-Z.
        every: Propose the edit in every place, with a letter drawn for each, rather than in one.
        skip_first: Leave the first character alone.
        skip_last: Leave the last character alone.

    Raises:
        DataError: There are no letters.
    """

    name = "character-substitution"

    def _edits(self, word: str, places: Sequence[int], numbers: Sequence[float]) -> list[str]:
        drawn = self._drawn(len(places), numbers)
        return [word[:i] + x + word[i + 1 :] for i, x in zip(places, drawn, strict=False)]


class CharacterDeletion(CharacterEdit):
    """A character left out."""

    name = "character-deletion"

    def _edits(self, word: str, places: Sequence[int], numbers: Sequence[float]) -> list[str]:
        return [word[:i] + word[i + 1 :] for i in places]


class CharacterSwap(CharacterEdit):
    """A character exchanged with the one behind it; both count as touched."""

    name = "character-swap"

    def _places(self, length: int) -> range:
        return super()._places(length)[:-1]

    def _edits(self, word: str, places: Sequence[int], numbers: Sequence[float]) -> list[str]:
        return [word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in places]


class KeyboardNeighbours(CharacterEdit):
    """A letter replaced by one beside it on a QWERTY keyboard, in the same case.

    In every place all neighbours are proposed. A random place that holds no letter has no edit. As
    in TextAttack's ``WordSwapQWERTY``, a word of which one character only may be touched has none.
    """

    name = "keyboard-neighbours"

    @property
    def draws(self) -> int:
        """One for the place and one for the neighbour, unless it is every one."""
        return 0 if self.every else 2

    def _places(self, length: int) -> range:
        places = super()._places(length)
        return places if len(places) > 1 else places[:0]

    def _edits(self, word: str, places: Sequence[int], numbers: Sequence[float]) -> list[str]:
        edits = []
        for i in places:
            keys = _NEIGHBOURS.get(word[i], "")
            if keys and not self.every:
                keys = keys[int(numbers[1] * len(keys))]
            edits += [word[:i] + key + word[i + 1 :] for key in keys]
        return edits


class Homoglyphs(Substitution):
    """A character replaced by one that looks the same, or nearly so.

    Digits, lower-case letters of a-z, hyphen and apostrophe have one each, those of TextAttack's
    ``WordSwapHomoglyphSwap``. Capitals have none.

    Args:
        every: Propose the edit in every place rather than in one drawn at random; a random
            place without look-alike has no edit.
    """

    name = "homoglyphs"

    def __init__(self, *, every: bool = True) -> None:
        self.every = every

    @property
    def draws(self) -> int:
        """One for the place, unless it is every one."""
        return 0 if self.every else 1

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        places = range(len(word)) if self.every else [int(numbers[0] * len(word))]
        return [
            word[:i] + _LOOK_ALIKES[word[i]] + word[i + 1 :]
            for i in places
            if word[i : i + 1] in _LOOK_ALIKES
        ]


class CharacterEdits(Union):
    """The four edits of DeepWordBug, one random instance of each (Gao et al. 2018, section IV-C).

    Two neighbouring characters swapped, one substituted by a letter, one deleted, a letter inserted
    before one. Letters are a-z and A-Z. Words of one character have no edits. As in TextAttack,
    any position may be hit, the first and last included.
    """

    name = "character-edits"

    def __init__(self) -> None:
        super().__init__(
            [CharacterSwap(), CharacterSubstitution(), CharacterDeletion(), CharacterInsertion()]
        )

    @property
    def settings(self) -> Mapping[str, Any]:
        """The name alone: the parts are fixed."""
        return {"name": self.name}
