"""Frequent synonyms: rare words read as their most frequent synonyms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rosearch.checks import share
from rosearch.encode.base import Evidence, encodings
from rosearch.encode.exchanges import MergedWords, neighbours
from rosearch.parameters import Choice


@encodings.register("frequent_synonyms")
class FrequentSynonyms(MergedWords):
    """Reads rare words as their most frequent synonyms, if these are more frequent in the
    training texts.

    After Mozes, Stenetorp, Kleinberg and Griffin: "Frequency-guided word substitutions for
    detecting textual adversarial examples", EACL 2021, who detect attacks by the difference that it
    makes. Rare are words that occur less often than the quantile ``rarer_than`` of the words of
    those texts that may be exchanged; at 1, all words. ``chained`` takes the most frequent
    synonym even if it is itself read as another word, and goes on to that; otherwise a word is read
    as the most frequent synonym among those that are read as themselves.

    It does not stop exchanges of words that are not rare, exchanges of words that have different
    most frequent synonyms, and words that the exchanges do not contain, such as misspelt ones.
    Unlike ``word_classes`` it does not know the labels, so it also merges words whose difference
    matters; chained at 1, words that are far apart.
    """

    source = "Mozes, Stenetorp, Kleinberg and Griffin 2021"
    choices = {
        "rarer_than": Choice(0.5, 0.8, 0.95, 1.0, default=1.0, check=share),
        "chained": Choice(False, True),
    }

    @classmethod
    def representatives(
        cls,
        evidence: Evidence,
        settings: Mapping[str, Any],
        exchanges: Mapping[tuple[str, str], float],
    ) -> Mapping[str, str]:
        """Return the frequent synonym of each word."""
        counts, near = evidence.counts, neighbours(exchanges)
        seen = [counts[word] for word in near if counts[word]]
        quantile = settings["rarer_than"]
        limit = np.quantile(seen, quantile) if quantile < 1 and seen else np.inf
        found: dict[str, str] = {}
        # More frequent words first, so that what a word is read as is settled before it.
        for word in sorted(near, key=lambda word: (-counts[word], word)):
            found[word] = word
            if counts[word] >= limit:
                continue
            others = [
                other
                for other in near[word]
                if counts[other] > counts[word] and (settings["chained"] or found[other] == other)
            ]
            if others:
                best = max(others, key=lambda other: counts[other])
                found[word] = found[best]
        return found
