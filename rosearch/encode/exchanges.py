"""The exchanges of words that encodings learn from."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from rosearch.data import Text
from rosearch.encode.base import Encoding, Evidence, Exchanges, word_counts
from rosearch.stop_words import STOP_WORDS
from rosearch.wordnet import WordNet
from rosearch.words import words_of


class WordNetExchanges:
    """Exchanges of words for their synonyms in WordNet, but not of or for stop words.

    Args:
        wordnet: Folder of WordNet's database; see :func:`rosearch.wordnet.find_wordnet`.

    Raises:
        MissingResourceError: WordNet is not available.
    """

    def __init__(self, wordnet: str | os.PathLike[str] | None = None) -> None:
        self.wordnet = WordNet(wordnet)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Name, and the digest of WordNet's files."""
        return {"name": "wordnet", "wordnet": self.wordnet.digest}

    def count(self, texts: Sequence[Text]) -> Mapping[tuple[str, str], float]:
        """Return each word with each synonym, and the occurrences of the word in ``texts``."""
        return {
            (word, synonym): float(count)
            for word, count in word_counts(texts).items()
            if word not in STOP_WORDS
            for synonym in dict.fromkeys(map(str.lower, self.wordnet.synonyms(word)))
            if synonym != word and synonym not in STOP_WORDS
        }


class MergedWords(Encoding):
    """An encoding that reads each word of a table as its representative.

    Implement :meth:`representatives`. Words are looked up in lower case, and a word that is not in
    the table stays as it is written.
    """

    @classmethod
    @abstractmethod
    def representatives(
        cls,
        evidence: Evidence,
        settings: Mapping[str, Any],
        exchanges: Mapping[tuple[str, str], float],
    ) -> Mapping[str, str]:
        """Return the representative of each word, which must be its own.

        Args:
            evidence: The training texts.
            settings: All settings.
            exchanges: By word and replacement, both of them single lower-case words and not the
                same, how often the word may be replaced in the training texts. Not empty.
        """

    @classmethod
    def learn(cls, evidence: Evidence, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the representatives of the words that others represent.

        Raises:
            MissingResourceError: The evidence names no exchanges, and WordNet is not available.
        """
        source: Exchanges = evidence.exchanges or WordNetExchanges()
        exchanges = _of_single_words(source.count(evidence.train.texts))
        found = cls.representatives(evidence, settings, exchanges) if exchanges else {}
        # With each representative itself, which must lose its capitals as its class does.
        used = {found[word] for word in found if found[word] != word}
        return {"representatives": {w: found[w] for w in found if found[w] != w or w in used}}

    def word(self, word: str) -> str:
        """Return the representative of the word, or the word as it stands."""
        found: str = self.learnt["representatives"].get(word.lower(), word)
        return found


def neighbours(exchanges: Mapping[tuple[str, str], float]) -> dict[str, list[str]]:
    """Return for each word those it may be exchanged with, in either direction.

    Those that are exchanged most often come first.
    """
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for (word, other), count in exchanges.items():
        sums[word][other] += count
        sums[other][word] += count
    return {
        word: sorted(found, key=lambda other: (-found[other], other))
        for word, found in sums.items()
    }


def _of_single_words(counts: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    # A replacement of several words, or with signs around it, would not be read as one word. Sorted
    # because sums depend on the order.
    single = {word: words_of(word) == [word] for pair in counts for word in pair}
    return {
        (word, other): count
        for (word, other), count in sorted(counts.items())
        if word != other and count > 0 and single[word] and single[other]
    }
