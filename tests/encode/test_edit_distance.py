"""The distance in plain Python beside rapidfuzz's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import OSA

from rosearch.encode import edit_distance

WORDS = st.text("abc", max_size=7)


@given(WORDS, WORDS, st.integers(0, 4))
def test_is_that_of_rapidfuzz(a: str, b: str, cutoff: int) -> None:
    expected = OSA.distance(a, b, score_cutoff=cutoff)
    assert edit_distance.OSA.distance(a, b, score_cutoff=cutoff) == expected
