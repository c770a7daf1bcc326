"""Synonym encoding: which code each word takes."""

from __future__ import annotations

from typing import Any

import pytest

from rosearch.data import TextDataset
from rosearch.encode import SynonymEncoding
from rosearch.errors import ArgumentError
from tests.encode.exchanged import Table

TRAIN = TextDataset(["good good good fine fine nice", "bad bad poor", "ok"], [1, 0, 0])


def codes(table: Table, **settings: Any) -> dict[str, str]:
    found: dict[str, str] = SynonymEncoding.fit(TRAIN, exchanges=table, **settings).learnt[
        "representatives"
    ]
    return {word: other for word, other in found.items() if word != other}


def test_synonyms_take_the_code_of_the_most_frequent() -> None:
    assert codes(Table(good="fine nice great", bad="poor")) == {
        "fine": "good",
        "nice": "good",
        "great": "good",
        "poor": "bad",
    }


def test_a_code_goes_on_to_the_synonyms_of_a_synonym() -> None:
    assert codes(Table(good="fine", fine="nice", nice="ok")) == dict.fromkeys(
        ["fine", "nice", "ok"], "good"
    )


def test_a_word_takes_the_code_of_its_closest_synonym() -> None:
    # "nice" is not among the two closest of "good" or "bad", so it chooses.
    table = Table(good="fine great nice", fine="good", bad="poor awful nice", poor="bad")
    assert codes(table, neighbours=2)["nice"] == "good"


def test_only_the_closest_synonyms_count() -> None:
    table = Table(good="fine nice", nice="poor bad", fine="good")
    # The closest of "good" is "fine"; that of "bad" and "poor" is "nice".
    assert codes(table, neighbours=1) == {"fine": "good", "nice": "bad", "poor": "bad"}
    assert codes(table, neighbours=2) == dict.fromkeys(["fine", "nice", "bad", "poor"], "good")


def test_neighbours_must_be_a_whole_number_from_1() -> None:
    with pytest.raises(ArgumentError, match="neighbours"):
        codes(Table(good="fine"), neighbours=0)
