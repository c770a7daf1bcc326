"""Small encodings for tests, and their registration for the time of a test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rosearch.data import TextDataset
from rosearch.encode import Encoding, Evidence, encodings
from rosearch.parameters import Choice

DATA = TextDataset(["a good film", "a dull film", "a good plot"], [1, 0, 1], classes=("no", "yes"))


class Known(Encoding):
    """Reads every Latin word that is rare in the training texts as "unknown"."""

    choices = {"minimum": Choice(1, 2, 5)}

    @classmethod
    def learn(cls, evidence: Evidence, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        counts = evidence.counts
        return {"words": sorted(w for w in counts if counts[w] >= settings["minimum"])}

    def word(self, word: str) -> str:
        return word if word in self.learnt["words"] or not word.isascii() else "unknown"


class Halves(Encoding):
    """Reads "film" as two words and leaves "plot" out."""

    def word(self, word: str) -> str:
        return {"film": "moving picture", "plot": ""}.get(word, word)


class Lower(Encoding):
    """Reads every word in lower case."""

    def word(self, word: str) -> str:
        return word.lower()


@contextmanager
def registered(**kinds: type[Encoding]) -> Iterator[None]:
    """Register classes by name; the registry is as before when the block ends."""
    for name, kind in kinds.items():
        encodings.register(name)(kind)
    try:
        yield
    finally:
        for name in kinds:
            encodings.unregister(name)
