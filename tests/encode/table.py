"""An encoding by hand, for tests of what applies encodings."""

from __future__ import annotations

from rosearch.encode import Encoding
from rosearch.words import word_spans


class Table(Encoding):
    """Replaces words, and words that stand beside each other, as a table says.

    ``Table({"words": {"goood": "good", "fi lm": "film"}})``
    """

    def word(self, word: str) -> str:
        canonical: str = self.learnt["words"].get(word, word)
        return canonical

    def segments(self, text: str) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for start, end in word_spans(text):
            if found and text[found[-1][0] : end] in self.learnt["words"]:
                found[-1] = found[-1][0], end
            else:
                found.append((start, end))
        return found


def table(**words: str) -> Table:
    """Return a table; ``_`` in a name stands for a space."""
    return Table({"words": {word.replace("_", " "): new for word, new in words.items()}})
