"""Misspellings."""

from __future__ import annotations

import string
from collections.abc import Sequence

from rosearch.attack.substitutions.base import Substitution


class CharacterEdits(Substitution):
    """The four edits of DeepWordBug, one random instance of each (Gao et al. 2018, section IV-C).

    Two neighbouring characters swapped, one substituted by a letter, one deleted, a letter inserted
    before one. Letters are a-z and A-Z. Words of one character have no edits. As in TextAttack,
    any position may be hit, the first and last included.
    """

    name = "character-edits"

    @property
    def draws(self) -> int:
        return 6

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        n = len(word)
        if n <= 1:
            return ()
        swap, substitute, delete, insert = (
            int(numbers[0] * (n - 1)),
            int(numbers[1] * n),
            int(numbers[3] * n),
            int(numbers[4] * n),
        )
        letters = string.ascii_letters
        edits = (
            word[:swap] + word[swap + 1] + word[swap] + word[swap + 2 :],
            word[:substitute] + letters[int(numbers[2] * 52)] + word[substitute + 1 :],
            word[:delete] + word[delete + 1 :],
            word[:insert] + letters[int(numbers[5] * 52)] + word[insert:],
        )
        return [edit for edit in dict.fromkeys(edits) if edit != word]
