"""What inputs may know of the tokens: their text, and which words are near each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a tokenizer as text."""

    texts: tuple[str, ...]
    """By id; what the token stands for, without marks such as ``##`` or ``Ġ``."""

    begins: tuple[bool, ...]
    """By id; whether the token begins a word, where it is no special token."""

    special: tuple[bool, ...]
    """By id; whether it is a special token such as ``[CLS]``, which stands for no text."""


class Lexicon(Protocol):
    """Which words are near each other."""

    @property
    def settings(self) -> Mapping[str, object]:
        """What decides its answers, as plain values."""

    def neighbours(self, words: Sequence[str], *, count: int) -> list[list[tuple[str, float]]]:
        """For each word, up to ``count`` others with a nearness above 0 and at most 1, nearest
        first. Both are among ``words``.
        """
