"""Replacements by hand for the made-up reviews of the tests."""

from __future__ import annotations

from collections.abc import Sequence

from rosearch.attack.word_swaps.substitutions import Substitution

SYNONYMS = (
    "good great wonderful brilliant".split(),
    "funny charming moving clever lovely superb".split(),
    "bad awful terrible boring".split(),
    "dull stupid clumsy tedious weak horrible".split(),
)


class Synonyms(Substitution):
    """Adjectives of the same class, and misspellings that read as other words."""

    name = "synonyms"

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        for group in SYNONYMS:
            if word in group:
                return [w for w in group if w != word]
        return []


class Misspelt(Substitution):
    """Two letters of an adjective change places."""

    name = "misspelt"

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        known = any(word in group for group in SYNONYMS)
        places = range(len(word) - 1) if known else ()
        swapped = [word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in places]
        return [w for w in dict.fromkeys(swapped) if w != word]
