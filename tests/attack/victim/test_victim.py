"""The answers that victims remember."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from rosearch.attack import FunctionVictim
from rosearch.data import Text

ENTRY = 200
"""A little more than the bytes of one answer with its digest."""


class Asked(FunctionVictim):
    """A victim whose first probability is a function of the text, and which lists what it reads."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(self.answer, outputs="probabilities", **settings)
        self.read: list[Text] = []

    def answer(self, texts: Sequence[Any]) -> Any:
        self.read.extend(texts)
        return expected(texts)


def expected(texts: Sequence[Any]) -> np.ndarray:
    numbers = [sum(map(ord, "".join(text))) % 97 / 97 for text in texts]
    return np.array([[p, 1 - p] for p in numbers], dtype=np.float32)


@pytest.fixture
def thirty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for some thirty answers."""
    monkeypatch.setattr("rosearch.attack.victim.memory.MAX_BYTES", 30 * ENTRY)


def test_the_latest_answers_are_remembered(thirty: None) -> None:
    victim = Asked()
    all_texts = [f"film {k}" for k in range(100)]
    for start in range(0, 100, 7):
        texts = all_texts[max(0, start - 5) : start + 7]
        np.testing.assert_array_equal(victim.probabilities([*texts, *texts]), expected(texts * 2))
    assert victim.read == all_texts
    victim.probabilities(all_texts[:2])
    assert victim.read[100:] == all_texts[:2]
    assert victim.forward_rows == 102


def test_an_answer_that_is_asked_for_while_room_is_made_is_computed_again(thirty: None) -> None:
    victim = Asked(batch_size=7)
    old = [f"old {k}" for k in range(40)]
    victim.probabilities(old)
    # All old answers are known when these are asked for, and the first ones are forgotten then.
    mixed = [old[0], "new", old[39], old[1], old[0]]
    np.testing.assert_array_equal(victim.probabilities(mixed), expected(mixed))
    assert victim.read[40:] == [old[0], "new", old[1]]


def test_more_texts_than_there_is_room_for_in_one_call(thirty: None) -> None:
    victim = Asked(batch_size=13)
    texts = [f"film {k % 150}" for k in range(400)]
    for _ in range(2):
        np.testing.assert_array_equal(victim.probabilities(texts), expected(texts))
    # All 150 stay for that call, though they take more than the limit.
    assert len(victim.read) < 300
    assert victim.read[:150] == texts[:150]


def test_length_of_texts_does_not_count(thirty: None) -> None:
    victim = Asked()
    texts = [f"{k} " + "word " * 5000 for k in range(20)]
    for _ in range(3):
        for text in texts:
            victim.probabilities([text])
    assert victim.read == texts


def test_surrogates_and_pairs_are_told_apart() -> None:
    victim = Asked()
    texts: list[Text] = [
        "a\ud83d",
        "a\ude00",
        "a😀",
        "a?",
        ("a", "b"),
        ("ab", ""),
        ("", "ab"),
        "ab",
    ]
    for _ in range(2):
        np.testing.assert_array_equal(victim.probabilities(texts), expected(texts))
    assert victim.read == texts


def test_no_texts() -> None:
    victim = Asked()
    assert victim.probabilities([]).shape == (0, 0)
    victim.expect(2)
    assert victim.probabilities([]).shape == victim.answers([]).shape == (0, 2)
    assert victim.read == []


def test_answers_are_the_callers_own() -> None:
    victim = Asked()
    victim.probabilities(["film"])[:] = 7
    np.testing.assert_array_equal(victim.probabilities(["film"]), expected(["film"]))
