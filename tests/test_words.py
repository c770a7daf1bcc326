"""Segmentation of texts into words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosearch.words import word_spans, words_of

TRIMMED = "'-_*@"
text = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("ab'-_*@ .,`\u02d7\u00d7")))


def slowly(text: str) -> list[str]:
    """The same segmentation in three steps: white space, runs, trimming."""
    words = []
    for part in text.split():
        runs = re.split("[^\\w'*@`\u02d7\u00d7-]+", part.strip(TRIMMED))
        words += [run.strip(TRIMMED) for run in runs]
    return [word for word in words if word]


@given(text)
def test_segmentation_equals_a_simple_one(text: str) -> None:
    assert words_of(text) == slowly(text)
    assert [text[start:end] for start, end in word_spans(text)] == words_of(text)


@given(text)
def test_spans_are_in_order_and_words_hold_no_others(text: str) -> None:
    borders = [place for span in word_spans(text) for place in span]
    assert borders == sorted(set(borders))
    for word in words_of(text):
        assert words_of(word) == [word]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's a well-made film.", ["It's", "a", "well-made", "film"]),
        ("'quoted' -- and *starred*", ["quoted", "and", "starred"]),
        ("x@y.com, U.S.", ["x@y", "com", "U", "S"]),
        ("电影很好 Ελλάδα", ["电影很好", "Ελλάδα"]),
        ("low \ud83d 🙂", ["low"]),
        ("", []),
        (">>>> ...", []),
    ],
)
def test_segmentation_of_examples(text: str, words: list[str]) -> None:
    assert words_of(text) == words
