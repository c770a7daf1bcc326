"""Synonym encoding: synonyms share the code of the most frequent of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rosearch.checks import whole_number
from rosearch.encode.base import Evidence, encodings
from rosearch.encode.exchanges import MergedWords, neighbours
from rosearch.parameters import Choice


@encodings.register("synonym_encoding")
class SynonymEncoding(MergedWords):
    """Gives every word the code of a close synonym that has one.

    Wang, Jin and He: "Natural language adversarial defense through synonym encoding", UAI 2021,
    algorithm 1. By falling frequency, a word takes the code of its closest synonym that has one,
    else its own, and gives it to those of its ``neighbours`` closest synonyms that have none. The
    paper's synonyms are near each other in counter-fitted vectors; here they are those that
    substitutions exchange, the closest those that they exchange most often.

    It does not stop exchanges for synonyms that are not among the closest or have another code, and
    words that the exchanges do not contain, such as misspelt ones. Unlike ``word_classes`` it does
    not know the labels, so it also merges words whose difference matters.
    """

    source = "Wang, Jin and He 2021"
    choices = {"neighbours": Choice(4, 10, 25, default=10, check=whole_number)}

    @classmethod
    def representatives(
        cls,
        evidence: Evidence,
        settings: Mapping[str, Any],
        exchanges: Mapping[tuple[str, str], float],
    ) -> Mapping[str, str]:
        """Return the code of each word."""
        near = neighbours(exchanges)
        codes: dict[str, str] = {}
        for word in sorted(near, key=lambda word: (-evidence.counts[word], word)):
            closest = near[word][: settings["neighbours"]]
            if word not in codes:
                codes[word] = next((codes[other] for other in closest if other in codes), word)
            for other in closest:
                codes.setdefault(other, codes[word])
        return codes
