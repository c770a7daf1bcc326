"""Exchanges by hand for tests of encodings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rosearch.data import Text
from rosearch.encode import word_counts


class Table:
    """Exchanges of words for those that a mapping has for them.

    Args:
        table: Words by word, as a text each.
    """

    def __init__(self, **table: str) -> None:
        self.table = table

    @property
    def settings(self) -> Mapping[str, Any]:
        """The mapping."""
        return {"table": self.table}

    def count(self, texts: Sequence[Text]) -> Mapping[tuple[str, str], float]:
        """Return the exchanges of the words of the texts, with their occurrences."""
        counts = word_counts(texts)
        return {
            (word, other): float(counts[word])
            for word, others in self.table.items()
            for other in others.split()
            if counts[word]
        }
