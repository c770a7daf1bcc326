"""Nearest words as a substitution."""

from __future__ import annotations

import numpy as np
import pytest

from rosearch.attack import NearestNeighbours, WordVectors
from rosearch.attack.word_swaps.substitutions.vectors import match_case
from rosearch.errors import ArgumentError

VECTORS = WordVectors(
    ["film", "movie", "good", "well known"],
    np.array([[1, 0, 0], [0.9, 0.1, 0], [0, 2, 0], [0.1, 1, 0]], dtype=np.float32),
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
def test_replacement_has_the_case_of_the_word(word: str, model: str, expected: str) -> None:
    assert match_case(word, model) == expected


def test_nearest_words_are_proposed() -> None:
    near = NearestNeighbours(2, vectors=VECTORS)
    assert near.propose("Film") == ["Movie", "Well known"]
    assert near.propose("nowhere") == []
    assert near.settings["vectors"]["digest"] == VECTORS.digest


def test_settings_out_of_range() -> None:
    with pytest.raises(ArgumentError, match="count must be a whole number from 1"):
        NearestNeighbours(0, vectors=VECTORS)
