"""What a word may be replaced by."""

from __future__ import annotations

import os
import string
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from rosearch.attack.base import public_settings
from rosearch.attack.resources import WordNet
from rosearch.attack.text import word_spans


class Substitution(ABC):
    """Proposes replacements for single words.

    Chance comes in as numbers that the caller drew for (run, attack, text, word), so that
    proposals never depend on the victim's answers. Public attributes are settings.
    """

    name: ClassVar[str]
    draws: ClassVar[int] = 0
    """How many random numbers one call of :meth:`propose` uses."""

    @abstractmethod
    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        """Replacements for ``word``, without repetitions and without ``word`` itself.

        Args:
            word: The word as it stands in the text.
            numbers: :attr:`draws` numbers drawn evenly from [0, 1).
        """

    def prepare(self, words: Iterable[str]) -> None:  # noqa: B027 - most have nothing to look up
        """Look up beforehand what will be asked for ``words``."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Name and every parameter, as JSON has it."""
        return {"name": self.name, **public_settings(self)}


class CharacterEdits(Substitution):
    """The four edits of DeepWordBug, one random instance of each (Gao et al. 2018, section IV-C).

    Two neighbouring characters swapped, one substituted by a letter, one deleted, a letter inserted
    before one. Letters are a-z and A-Z. Words of one character have no edits. As in TextAttack,
    any position may be hit, the first and last included.
    """

    name = "character-edits"
    draws = 6

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


class WordNetSynonyms(Substitution):
    """All single-word lemmas that share a synset with the word, of any part of speech.

    As TextAttack's ``WordSwapWordNet``: base forms are looked up, replacements are not inflected,
    antonyms of polysemous words are not filtered. Look-ups are kept in memory, and travel along
    when this is pickled. Settings tell editions of WordNet apart by a digest of what the files
    hold, wherever they lie.

    Args:
        wordnet: Folder of WordNet's database; see
            :func:`rosearch.attack.resources.find_wordnet`.

    Raises:
        MissingResourceError: WordNet is not on this machine.
    """

    name = "wordnet-synonyms"

    def __init__(self, *, wordnet: str | os.PathLike[str] | None = None) -> None:
        self._wordnet = WordNet(wordnet)
        self._known: dict[str, tuple[str, ...]] = {}

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        found = self._known.get(word)
        if found is None:
            names = self._wordnet.lemmas(word)
            found = tuple(sorted(n for n in names if n != word and _is_one_word(n)))
            self._known[word] = found
        return found

    def prepare(self, words: Iterable[str]) -> None:
        for word in words:
            self.propose(word)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Name, and the digest of WordNet's files."""
        return {**super().settings, "wordnet": self._wordnet.digest}


def _is_one_word(name: str) -> bool:
    # An underscore joins the words of a phrase.
    return "_" not in name and len(word_spans(name)) == 1
