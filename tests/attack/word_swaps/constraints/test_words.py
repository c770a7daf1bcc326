"""Constraints on words and characters."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosearch.attack import Change, DeepWordBug, Examined
from rosearch.attack.text import Words
from rosearch.attack.word_swaps.constraints import (
    MaxChangedShare,
    MaxEditDistance,
    MaxWordsChanged,
    MinWordLength,
    NoRepeat,
    NoStopWords,
)
from rosearch.attack.word_swaps.constraints.words import within_edits
from rosearch.errors import ArgumentError
from rosearch.stop_words import STOP_WORDS, TEXTFOOLER_STOP_WORDS
from tests.attack.word_swaps.helpers import allowed, examined

word = st.text("ab'c", max_size=8)


def distance(a: str, b: str) -> int:
    """The Levenshtein distance by its definition."""

    @lru_cache(None)
    def prefix(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        return min(
            prefix(i - 1, j) + 1,
            prefix(i, j - 1) + 1,
            prefix(i - 1, j - 1) + (a[i - 1] != b[j - 1]),
        )

    return prefix(len(a), len(b))


@given(word, word, st.integers(0, 9))
def test_edits_are_counted_as_defined(a: str, b: str, limit: int) -> None:
    assert within_edits(a, b, limit) == (distance(a, b) <= limit)


def test_edits_of_long_texts_are_counted_quickly() -> None:
    words = [f"word{k % 97}" for k in range(3000)]
    changed = [f"x{w}" if k % 80 == 0 else w for k, w in enumerate(words)]  # 38 insertions
    begun = time.perf_counter()
    assert not within_edits(" ".join(words), " ".join(changed), 37)
    assert within_edits(" ".join(words), " ".join(changed), 38)
    assert time.perf_counter() - begun < 5  # the whole table would take minutes


def test_edits_of_texts_whose_words_have_moved() -> None:
    original = Words.of("aa bb")
    moved = original.resegment(0, "a a")
    assert moved.text == "a a bb"
    assert MaxEditDistance(1).allows_text(original, moved)
    assert not MaxEditDistance(1).allows_text(original, moved.resegment(2, "b b"))


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
        with pytest.raises(ArgumentError, match="stop_words must be a list of words, got 'the'"):
            make()


def test_no_repeat() -> None:
    text = Words.of("one two").replace(1, "x")
    assert [NoRepeat().allows_word(text, i) for i in (0, 1)] == [True, False]


def test_no_short_words() -> None:
    text = Words.of("a bb ccc dddd")
    assert [MinWordLength(3).allows_word(text, i) for i in range(4)] == [False, False, True, True]
    assert MinWordLength(3).settings == {"name": "min-word-length", "length": 3}


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
def test_maximum_number_of_differing_words(constraint: MaxWordsChanged, allowed: int) -> None:
    original = Words.of("one two three four five six seven eight nine ten")
    text = original
    for index in range(10):
        text = text.replace(index, "x")
        assert constraint.allows_text(original, text) == (index + 1 <= allowed)
    back = text
    for index, word in enumerate(original.words):
        back = back.replace(index, word)
    assert constraint.allows_text(original, back)  # replaced all the same, but by what was there


@pytest.mark.parametrize("constraint", [MaxWordsChanged(2), MaxWordsChanged(share=0.2)])
def test_candidates_are_judged_together_as_one_by_one(constraint: MaxWordsChanged) -> None:
    rng = np.random.default_rng(0)
    original = Words.of("one two three four five six seven")
    for _ in range(200):
        current = original
        for index in rng.choice(7, size=rng.integers(4), replace=False).tolist():
            current = current.replace(index, str(rng.choice(["x", original.words[index]])))
        index = int(rng.integers(7))
        new = ["y", original.words[index], "y z", ""]
        for put in (current.replace, current.resegment):
            made = Change(original, current, index, [put(index, word) for word in new])
            expected = [constraint.allows_text(original, text) for text in made.candidates]
            assert list(examined(constraint, made).allowed) == expected
        # The word that is there already is none to propose.
        others = [current.replace(index, w) for w in new if w != current.words[index]]
        possible = any(constraint.allows_text(original, text) for text in others)
        assert constraint.allows_swap(original, current, index) or not possible


class Lenient(MaxWordsChanged):
    def allows_text(self, original: Words, candidate: Words) -> bool:
        return True


class LenientTogether(MaxWordsChanged):
    def examine(self, change: Change) -> Any:
        yield from ()
        return Examined([True] * len(change.candidates))


class LimitedElsewhere(MaxWordsChanged):
    """Says that there is no limit to those who ask for one; texts are judged as before."""

    def most_changed(self, words: int) -> int | None:
        return None


@pytest.mark.parametrize("kind", [Lenient, LenientTogether, LimitedElsewhere])
def test_a_subclass_may_judge_texts_otherwise(kind: type[MaxWordsChanged]) -> None:
    text = Words.of("one two")
    assert kind(0).allows_swap(text, text, 0)
    assert allowed(kind(0), "one two", 0, "x") == [kind is not LimitedElsewhere]


def test_no_swap_is_ruled_out_where_the_text_has_other_words() -> None:
    original = Words.of("one two")
    longer = original.resegment(1, "t w o")
    assert MaxWordsChanged(1).allows_swap(original, longer, 3)
    assert not MaxWordsChanged(0).allows_swap(original, original, 1)


def test_inserted_word_makes_all_words_after_it_differ() -> None:
    original = Words.of("one two three four")
    assert not MaxWordsChanged(3).allows_text(original, original.resegment(0, "o ne"))
    assert MaxWordsChanged(1).allows_text(original, original.resegment(3, "fo ur"))


@pytest.mark.parametrize(
    ("share", "at_least", "allowed"), [(0, 0, 0), (0, 1, 1), (0.1, 1, 1), (0.11, 1, 2), (0.1, 4, 4)]
)
def test_maximum_number_of_replaced_words(share: float, at_least: int, allowed: int) -> None:
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
        lambda: MaxEditDistance(-1),
    ],
)
def test_limits_out_of_range(make: Any) -> None:
    with pytest.raises(ArgumentError, match=r"number|neither"):
        make()
