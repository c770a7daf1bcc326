"""A tagger and a sentence encoder that record what they are asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch


def by_length(sentences: list[list[str]]) -> list[list[str]]:
    """Tag short words as verbs, those of five letters as nouns, longer ones as adjectives."""
    return [
        ["VERB" if len(word) < 5 else "NOUN" if len(word) == 5 else "ADJ" for word in words]
        for words in sentences
    ]


class RecordingTagger:
    def __init__(self) -> None:
        self.seen: list[list[str]] = []

    def __call__(self, sentences: list[list[str]]) -> list[list[str]]:
        self.seen += sentences
        return by_length(sentences)


def letters(texts: Sequence[str]) -> np.ndarray:
    """Counts of a to d."""
    return np.array([[text.count(c) for c in "abcd"] for text in texts], dtype=np.float64)


class RecordingEncoder:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, texts: list[str]) -> Any:
        self.seen += texts
        return torch.from_numpy(letters(texts))
