"""Unions of substitutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from rosearch.attack import Ask, CharacterEdits, Oracle, Substitution, Union, Words
from tests.attack.word_swaps.helpers import finished


class Shout(Oracle):
    name = "shout"

    def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
        return [question.upper() for question in questions]


class Asking(Substitution):
    name = "asking"

    def propose_in(self, text: Words, index: int, numbers: Any = ()) -> Any:
        return (yield Ask(Shout(cache=False), [text.words[index], text.words[index] + "s"]))


class Fixed(Substitution):
    name = "fixed"

    def propose(self, word: str, numbers: Sequence[float] = ()) -> Sequence[str]:
        return ["ONES", "x"]


def test_union_asks_oracles_and_drops_duplicates() -> None:
    union = Union([Asking(), Fixed()])
    assert finished(union.propose_in(Words.of("one"), 0)) == ["ONE", "ONES", "x"]


def test_substitution_that_needs_the_context_proposes_nothing_for_a_word() -> None:
    with pytest.raises(NotImplementedError, match="Asking needs the context"):
        Asking().propose("one")


def test_each_part_of_a_union_gets_its_random_numbers() -> None:
    union = CharacterEdits()
    numbers = [0.1, 0.9, 0.5, 0.3, 0.7, 0.2]
    bounds = [0, 1, 3, 4, 6]
    expected = [
        new
        for part, start, end in zip(union.parts, bounds, bounds[1:], strict=False)
        for new in part.propose("letter", numbers[start:end])
    ]
    assert finished(union.propose_in(Words.of("letter"), 0, numbers)) == expected
