"""Synonyms from WordNet."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rosearch.attack.resources import WordNet
from rosearch.attack.substitutions.base import Substitution
from rosearch.attack.text import word_spans


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
