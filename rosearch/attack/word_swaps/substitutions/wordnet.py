"""Synonyms from WordNet."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rosearch.attack.resources.oracles import Oracle
from rosearch.attack.word_swaps.substitutions.base import Substitution
from rosearch.wordnet import WordNet


class WordNetSynonyms(Substitution):
    """All single-word lemmas that share a synset with the word, of any part of speech.

    Like TextAttack's ``WordSwapWordNet``: base forms are looked up, replacements are not inflected,
    and antonyms of polysemous words are not filtered. Lookups are cached like the answers of an
    oracle. Settings identify the edition of WordNet by a digest of its files.

    Args:
        wordnet: Folder of WordNet's database; see
            :func:`rosearch.attack.resources.find_wordnet`.
        case_only: Whether a replacement may differ from the word in case only, as in TextAttack:
            "China" is a synonym of "china". An uncased victim cannot tell them apart.
        cache: See :class:`~rosearch.attack.resources.oracles.Oracle`.

    Raises:
        MissingResourceError: WordNet is not available.
    """

    name = "wordnet-synonyms"

    def __init__(
        self,
        *,
        wordnet: str | os.PathLike[str] | None = None,
        case_only: bool = True,
        cache: bool | str | os.PathLike[str] = True,
    ) -> None:
        self.case_only = case_only
        self.lookup = SynonymLookup(WordNet(wordnet), cache=cache)

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        found: list[str] = self.lookup.answer([word])[0]
        if self.case_only:
            return found
        return [other for other in found if other.lower() != word.lower()]

    def prepare(self, words: Iterable[str]) -> None:
        self.lookup.answer(list(words))


class SynonymLookup(Oracle):
    """Maps words to their single-word synonyms in WordNet, sorted."""

    name = "wordnet-synonyms"

    def __init__(self, wordnet: WordNet, *, cache: bool | str | os.PathLike[str] = True) -> None:
        super().__init__(cache=cache)
        self.wordnet = wordnet

    def compute(self, questions: Sequence[str]) -> Sequence[list[str]]:
        return list(map(self.wordnet.synonyms, questions))

    @property
    def settings(self) -> Mapping[str, Any]:
        """Name, and the digest of WordNet's files, which is computed when it is first needed."""
        return {"name": self.name, "wordnet": self.wordnet.digest}
