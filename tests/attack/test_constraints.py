"""Edit distance, stop words, repetition."""

from __future__ import annotations

from functools import lru_cache

from hypothesis import given
from hypothesis import strategies as st

from rosearch.attack.constraints import (
    STOP_WORDS,
    MaxEditDistance,
    NoRepeat,
    NoStopWords,
    edit_distance,
)
from rosearch.attack.text import Words

word = st.text("ab'c", max_size=8)


@given(word, word)
def test_edit_distance_equals_its_definition(a: str, b: str) -> None:
    @lru_cache(None)
    def distance(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        return min(
            distance(i - 1, j) + 1,
            distance(i, j - 1) + 1,
            distance(i - 1, j - 1) + (a[i - 1] != b[j - 1]),
        )

    assert edit_distance(a, b) == distance(len(a), len(b))


@given(st.lists(st.sampled_from(["abc", "bca", "a", "cab"]), min_size=1), st.data())
def test_the_shortcut_over_words_never_changes_the_verdict(
    words: list[str], data: st.DataObject
) -> None:
    original = Words.of(" ".join(words))
    current = original
    for index in data.draw(st.lists(st.integers(0, len(words) - 1), max_size=6)):
        current = current.replace(index, data.draw(word))
    limit = data.draw(st.integers(0, 8))
    expected = edit_distance(original.text, current.text) <= limit
    assert MaxEditDistance(limit).allows_text(original, current) == expected


def test_stop_words() -> None:
    text = Words.of("The end of the film isn't near")
    kept = [w for i, w in enumerate(text.words) if not NoStopWords().allows_word(text, i)]
    assert kept == ["of", "the", "isn't"]  # with case: "The" may be replaced
    assert len(STOP_WORDS) == 198
    assert NoStopWords().settings == {
        "name": "no-stop-words",
        "stop_words": "nltk-english-198",
    }
    assert NoStopWords(["near", "film"]).settings["stop_words"] == ["film", "near"]


def test_no_repeat() -> None:
    text = Words.of("one two").replace(1, "x")
    assert [NoRepeat().allows_word(text, i) for i in (0, 1)] == [True, False]
