"""Sentence similarity as a constraint."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from rosearch.attack import Change, SentenceEncoder, SentenceSimilarity, Words
from rosearch.attack.word_swaps.constraints.sentence import text_window
from rosearch.errors import ArgumentError
from tests.attack.recorders import RecordingEncoder, letters
from tests.attack.word_swaps.helpers import change, examined


def verdicts(constraint: SentenceSimilarity, changed: Change) -> tuple[list[bool], list[float]]:
    found = examined(constraint, changed)
    return list(found.allowed), list(found.similarities or ())


def test_text_windows() -> None:
    text = Words.of("'a, b; c d e f g h!")
    assert text_window(text, 3, None) == "a, b; c d e f g h"
    assert text_window(text, 3, 3) == "c d e"
    assert text_window(text, 0, 3) == "a, b; c"
    assert text_window(text, 7, 3) == "f g h"
    assert text_window(text, 3, 4) == "b; c d e"
    assert text_window(text, 6, 3) == "f g h"
    assert text_window(text, 3, 99) == text_window(text, 99, 99) == "a, b; c d e f g h"
    assert text_window(text, 99, 2) == "g h"
    assert text_window(Words.of("!?"), 0, 3) == "!?"


def test_similarity_by_cosine_and_by_angle() -> None:
    seen = change("a c", 1, "a", "b", "c")
    allowed, similarities = verdicts(SentenceSimilarity(letters, 0.7), seen)
    assert similarities == pytest.approx([math.sqrt(0.5), 0.5, 1])
    assert allowed == [True, False, True]
    allowed, similarities = verdicts(SentenceSimilarity(letters, 0.7, metric="angular"), seen)
    assert similarities == pytest.approx([0.75, 1 - 1 / 3, 1])
    assert allowed == [True, False, True]


def test_cosines_outside_the_range_by_rounding() -> None:
    class Rounded(SentenceEncoder):
        def compute(self, questions: Sequence[Any]) -> Sequence[float]:
            return [1.0000001 if new == "a" else -1.0000001 for _, new in questions]

    constraint = SentenceSimilarity(Rounded(letters), metric="angular")
    assert verdicts(constraint, change("c", 0, "a", "b"))[1] == [1, 0]


def test_similarity_equal_to_the_threshold_is_allowed() -> None:
    assert verdicts(SentenceSimilarity(letters, 0.5), change("a c", 1, "b"))[0] == [True]


def test_similarity_to_the_original_or_the_previous_text() -> None:
    original = Words.of("a b")
    current = original.replace(0, "c")
    step = Change(original, current, 1, [current.replace(1, "c")])
    assert verdicts(SentenceSimilarity(letters), step)[1] == [0]
    previous = SentenceSimilarity(letters, against="previous")
    assert verdicts(previous, step)[1] == pytest.approx([math.sqrt(0.5)])


def test_window_and_short_texts() -> None:
    recorder = RecordingEncoder()
    constraint = SentenceSimilarity(recorder, 0.9, window=3)
    verdicts(constraint, change("a b c d e f", 4, "x"))
    assert recorder.seen == ["d e f", "d x f"]
    skipping = SentenceSimilarity(letters, 0.9, window=3, skip_short=True)
    assert verdicts(skipping, change("a b", 1, "x")) == ([True], [1.0])
    assert verdicts(skipping, change("a b c", 1, "x"))[0] == [False]
    assert verdicts(constraint, change("a b", 1, "x"))[0] == [False]


def test_questions_share_the_window_of_the_original() -> None:
    """Cached pairs share the string, which saves memory."""
    for window in (None, 3):
        constraint = SentenceSimilarity(letters, window=window)
        steps = constraint.examine(change("a b c d e f", 3, "x", "y", "z"))
        questions = next(steps).questions
        assert len(questions) == 3
        assert len({id(old) for old, _ in questions}) == 1


def test_settings_out_of_range() -> None:
    for wrong in (
        {"metric": "dot"},
        {"against": "nothing"},
        {"window": 0},
        {"threshold": 2},
        {"skip_short": True},
    ):
        with pytest.raises(ArgumentError):
            SentenceSimilarity(letters, **wrong)
