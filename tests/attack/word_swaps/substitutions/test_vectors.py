"""Nearest words by word vectors as substitutions."""

from __future__ import annotations

import numpy as np
import pytest

from rosearch.attack import NearestNeighbours, WordVectors
from rosearch.attack.word_swaps.substitutions.vectors import match_case

WORDS = ["film", "movie", "good", "bad", "Paris", "well known"]
MATRIX = np.array(
    [[1, 0, 0], [0.9, 0.1, 0], [0, 2, 0], [0, -1, 0.5], [0, 0, 3], [0.1, 1, 0]], dtype=np.float32
)


@pytest.mark.parametrize(
    ("word", "model", "expected"),
    [
        ("movie", "film", "movie"),
        ("movie", "Film", "Movie"),
        ("movie", "FILM", "MOVIE"),
        ("movie", "fiLM", "movie"),
        ("Paris", "film", "paris"),
        ("Paris", "fiLM", "Paris"),
        ("movie", "A", "movie"),
        ("movie", "1990", "movie"),
        ("movie", "", "movie"),
    ],
)
def test_substitution_has_the_case_of_the_replaced_word(
    word: str, model: str, expected: str
) -> None:
    assert match_case(word, model) == expected


def test_nearest_words_are_proposed() -> None:
    vectors = WordVectors(WORDS, MATRIX)
    near = NearestNeighbours(2, vectors=vectors)
    assert near.propose("Film") == ["Movie", "Well known"]
    assert near.propose("nowhere") == []
    assert near.settings["vectors"]["digest"] == vectors.digest
    with pytest.raises(ValueError, match="metric"):
        NearestNeighbours(2, vectors=vectors, metric="x")  # type: ignore[arg-type]
