"""Encodings that need no training texts, and their registration for the length of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import rosearch as rs
from rosearch.checks import share
from rosearch.parameters import Choice


class LowerCase(rs.Encoding):
    level = "characters"

    def word(self, word: str) -> str:
        return word.lower()


class Shortened(rs.Encoding):
    level = "characters"
    choices = {"length": Choice(4, 8), "side": Choice("left", "right")}

    def word(self, word: str) -> str:
        length = int(self.settings["length"])
        return word[:length] if self.settings["side"] == "left" else word[-length:]


class Merged(rs.Encoding):
    choices = {"strength": Choice(0.05, 0.1, 0.2, 0.5, check=share)}

    def word(self, word: str) -> str:
        return "word"


ENCODINGS = {"lower_case": LowerCase, "shortened": Shortened, "merged": Merged}


@contextmanager
def registered() -> Iterator[None]:
    """Register the encodings, and take them out again."""
    for name, kind in ENCODINGS.items():
        rs.encodings.register(name)(kind)
    yield
    for name in ENCODINGS:
        rs.encodings.unregister(name)
