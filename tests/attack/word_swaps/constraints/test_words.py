"""Edit distance, stop words, repetition."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosearch.attack import DeepWordBug
from rosearch.attack.text import Words
from rosearch.attack.word_swaps.constraints import (
    STOP_WORDS,
    TEXTFOOLER_STOP_WORDS,
    MaxChangedShare,
    MaxEditDistance,
    MaxWordsChanged,
    MinWordLength,
    NoRepeat,
    NoStopWords,
    edit_distance,
)
from rosearch.attack.word_swaps.constraints.words import edits_within
from rosearch.errors import DataError

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


@given(word, word, st.integers(0, 9))
def test_within_a_limit_equals_the_distance(a: str, b: str, limit: int) -> None:
    assert edits_within(a, b, limit) == (edit_distance(a, b) <= limit)


def test_within_a_limit_is_quick_on_long_texts() -> None:
    words = [f"word{k % 97}" for k in range(3000)]
    changed = [f"x{w}" if k % 80 == 0 else w for k, w in enumerate(words)]  # 38 insertions
    begun = time.perf_counter()
    assert not edits_within(" ".join(words), " ".join(changed), 37)
    assert edits_within(" ".join(words), " ".join(changed), 38)
    assert time.perf_counter() - begun < 5  # the whole table would take minutes


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
    assert len(TEXTFOOLER_STOP_WORDS) == 266
    assert NoStopWords().settings == {
        "name": "no-stop-words",
        "stop_words": "nltk-english-198",
    }
    assert NoStopWords(["near", "film"]).settings["stop_words"] == ["film", "near"]
    for make in (lambda: NoStopWords("the"), lambda: DeepWordBug(stop_words="the")):
        with pytest.raises(DataError, match="collection of words, got the string 'the'"):
            make()


def test_no_repeat() -> None:
    text = Words.of("one two").replace(1, "x")
    assert [NoRepeat().allows_word(text, i) for i in (0, 1)] == [True, False]


def test_no_short_words() -> None:
    text = Words.of("a bb ccc dddd")
    assert [MinWordLength(3).allows_word(text, i) for i in range(4)] == [False, False, True, True]
    assert MinWordLength(3).settings == {"name": "min-word-length", "length": 3}


def test_edits_of_texts_whose_words_have_moved() -> None:
    original = Words.of("aa bb")
    moved = original.resegment(0, "a a")
    assert moved.text == "a a bb"
    assert MaxEditDistance(1).allows_text(original, moved)
    assert not MaxEditDistance(1).allows_text(original, moved.resegment(2, "b b"))


@pytest.mark.parametrize(
    ("constraint", "allowed"),
    [
        (MaxWordsChanged(0), 0),
        (MaxWordsChanged(2), 2),
        (MaxWordsChanged(share=0), 0),
        (MaxWordsChanged(share=0.1), 1),
        (MaxWordsChanged(share=0.3), 3),
        (MaxWordsChanged(share=1), 10),
        (MaxWordsChanged(2, share=0.5), 2),
        (MaxWordsChanged(9, share=0.5), 5),
    ],
)
def test_how_many_words_may_differ(constraint: MaxWordsChanged, allowed: int) -> None:
    original = Words.of("one two three four five six seven eight nine ten")
    text = original
    for index in range(10):
        text = text.replace(index, "x")
        assert constraint.allows_text(original, text) == (index + 1 <= allowed)
    back = text
    for index, word in enumerate(original.words):
        back = back.replace(index, word)
    assert constraint.allows_text(original, back)  # replaced all the same, but by what was there


def test_a_word_put_in_makes_those_behind_it_differ() -> None:
    original = Words.of("one two three four")
    assert not MaxWordsChanged(3).allows_text(original, original.resegment(0, "o ne"))
    assert MaxWordsChanged(1).allows_text(original, original.resegment(3, "fo ur"))


@pytest.mark.parametrize(
    ("share", "at_least", "allowed"), [(0, 0, 0), (0, 1, 1), (0.1, 1, 1), (0.11, 1, 2), (0.1, 4, 4)]
)
def test_how_many_words_may_be_replaced(share: float, at_least: int, allowed: int) -> None:
    constraint = MaxChangedShare(share, at_least=at_least)
    text = Words.of("one two three four five six seven eight nine ten")
    for index in range(10):
        assert constraint.allows_word(text, 9) == (index < allowed)
        text = text.replace(index, "x")


@pytest.mark.parametrize(
    "make",
    [
        MaxWordsChanged,
        lambda: MaxWordsChanged(-1),
        lambda: MaxWordsChanged(1.5),  # type: ignore[arg-type]
        lambda: MaxWordsChanged(share=1.1),
        lambda: MaxWordsChanged(share=float("nan")),
        lambda: MaxChangedShare(-0.1),
        lambda: MaxChangedShare(0.1, at_least=-1),
        lambda: MinWordLength(0),
    ],
)
def test_limits_that_make_no_sense(make: Any) -> None:
    with pytest.raises(DataError, match=r"number|neither"):
        make()
