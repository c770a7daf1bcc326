"""The limit on word-vector similarity."""

from __future__ import annotations

import numpy as np
import pytest

from rosearch.attack import WordCosine, Words, WordVectors
from rosearch.attack.word_swaps.constraints import Change

WORDS = ["film", "movie", "good", "bad"]
MATRIX = np.array([[1, 0, 0], [0.9, 0.1, 0], [0, 2, 0], [0, -1, 0.5]], dtype=np.float32)


@pytest.fixture
def vectors() -> WordVectors:
    return WordVectors(WORDS, MATRIX)


def examined(constraint: WordCosine, text: str, index: int, *new: str) -> list[bool]:
    words = Words.of(text)
    change = Change(words, words, index, [words.resegment(index, word) for word in new])
    steps = constraint.examine(change)
    with pytest.raises(StopIteration) as stop:
        next(steps)
    return list(stop.value.value.allowed)


def test_words_below_the_limit_are_rejected(vectors: WordVectors) -> None:
    near = WordCosine(0.9, vectors=vectors)
    assert examined(near, "a Film here", 1, "movie", "MOVIE", "good", "nowhere") == [
        True,
        True,
        False,
        True,
    ]
    strict = WordCosine(0.9, vectors=vectors, allow_unknown=False)
    assert examined(strict, "a film here", 1, "movie", "nowhere") == [True, False]
    assert examined(strict, "a film here", 0, "movie") == [False]
    far = WordCosine(max_distance=0.021, vectors=vectors)
    assert examined(far, "film", 0, "movie", "good") == [True, False]
    assert examined(WordCosine(max_distance=0.019, vectors=vectors), "film", 0, "movie") == [False]


def test_words_of_a_phrase_are_compared_by_position(
    vectors: WordVectors,
) -> None:
    near = WordCosine(0.9, vectors=vectors)
    assert examined(near, "film good end", 0, "movie good", "movie bad") == [True, False]
    assert examined(near, "film", 0, "movie good") == [False]  # the original has no second word
    assert examined(near, "a film", 1, "...") == [True]  # deleted


def test_words_are_compared_with_the_original_text(
    vectors: WordVectors,
) -> None:
    original = Words.of("film")
    current = original.replace(0, "good")
    change = Change(original, current, 0, [current.replace(0, "movie")])
    with pytest.raises(StopIteration) as stop:
        next(WordCosine(0.9, vectors=vectors).examine(change))
    assert stop.value.value.allowed == [True]


def test_exactly_one_limit_is_required(vectors: WordVectors) -> None:
    for limits in ({}, {"minimum": 0.5, "max_distance": 0.5}):
        with pytest.raises(ValueError, match="minimum"):
            WordCosine(vectors=vectors, **limits)
    with pytest.raises(ValueError, match="minimum"):
        WordCosine("0.5", vectors=vectors)  # type: ignore[arg-type]
