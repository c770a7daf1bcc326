"""The cosine or distance of word vectors as a constraint."""

from __future__ import annotations

import numpy as np
import pytest

from rosearch.attack import Change, WordCosine, Words, WordVectors
from rosearch.errors import ArgumentError
from tests.attack.word_swaps.helpers import allowed, examined

WORDS = ["film", "movie", "good", "bad"]
VECTORS = WordVectors(
    WORDS, np.array([[1, 0, 0], [0.9, 0.1, 0], [0, 2, 0], [0, -1, 0.5]], dtype=np.float32)
)


def test_minimum_cosine() -> None:
    near = WordCosine(0.9, vectors=VECTORS)
    found = allowed(near, "a Film here", 1, "movie", "MOVIE", "good", "nowhere")
    assert found == [True, True, False, True]


def test_words_without_vector_are_allowed() -> None:
    near = WordCosine(0.9, vectors=VECTORS)
    assert allowed(near, "a film here", 1, "good", "nowhere") == [False, True]
    assert allowed(near, "a film here", 0, "movie") == [True]


def test_maximum_distance() -> None:
    far = WordCosine(max_distance=0.021, vectors=VECTORS)
    assert allowed(far, "film", 0, "movie", "good") == [True, False]
    near = WordCosine(max_distance=0.019, vectors=VECTORS)
    assert allowed(near, "film", 0, "movie") == [False]


def test_each_word_of_a_phrase_is_compared_with_the_word_in_its_place() -> None:
    near = WordCosine(0.9, vectors=VECTORS)
    assert allowed(near, "film good end", 0, "movie good", "movie bad") == [True, False]
    assert allowed(near, "film", 0, "movie good") == [False]  # the original has no second word
    assert allowed(near, "a film", 1, "...") == [True]  # deleted


def test_new_word_is_compared_with_the_original_text() -> None:
    original = Words.of("film")
    current = original.replace(0, "good")
    step = Change(original, current, 0, [current.replace(0, "movie")])
    assert examined(WordCosine(0.9, vectors=VECTORS), step).allowed == [True]


def test_exactly_one_limit_is_required() -> None:
    for limits in ({}, {"minimum": 0.5, "max_distance": 0.5}):
        with pytest.raises(ArgumentError, match="either minimum"):
            WordCosine(vectors=VECTORS, **limits)
    with pytest.raises(ArgumentError, match="minimum must be a finite number"):
        WordCosine("0.5", vectors=VECTORS)  # type: ignore[arg-type]
