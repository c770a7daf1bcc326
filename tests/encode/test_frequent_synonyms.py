"""Frequent synonyms: which words are rare, and what they are read as."""

from __future__ import annotations

from typing import Any

import pytest

from rosearch.data import TextDataset
from rosearch.encode import FrequentSynonyms
from rosearch.errors import ArgumentError
from tests.encode.exchanged import Table

COUNTS = {"good": 8, "fine": 4, "nice": 2, "ok": 1}
TRAIN = TextDataset([" ".join([word] * count) for word, count in COUNTS.items()], [0, 1, 0, 1])
TABLE = Table(ok="nice passable", nice="fine", fine="good")


def read_as(table: Table = TABLE, **settings: Any) -> dict[str, str]:
    found: dict[str, str] = FrequentSynonyms.fit(TRAIN, exchanges=table, **settings).learnt[
        "representatives"
    ]
    return {word: other for word, other in found.items() if word != other}


def test_words_below_the_quantile_of_occurrences_are_rare() -> None:
    # The median of 1, 2, 4 and 8 is 3; "passable" is not a word of the texts, so it is rare.
    assert read_as(rarer_than=0.5) == {"nice": "fine", "passable": "ok"}
    assert read_as(rarer_than=0.5, chained=True) == {
        "nice": "fine",
        "ok": "fine",
        "passable": "fine",
    }


def test_at_1_every_word_is_rare_and_only_words_that_stay_are_read() -> None:
    # "nice" stays, because "fine" is itself read as "good"; so does "passable".
    assert read_as(rarer_than=1.0) == {"fine": "good", "ok": "nice"}


def test_chained_goes_on_to_the_most_frequent_synonym_of_the_synonym() -> None:
    assert read_as(rarer_than=1.0, chained=True) == dict.fromkeys(
        ["fine", "nice", "ok", "passable"], "good"
    )


def test_the_most_frequent_synonym_is_taken() -> None:
    table = Table(ok="nice good fine")
    assert read_as(table, rarer_than=0.5)["ok"] == "good"


def test_a_word_without_a_more_frequent_synonym_stays() -> None:
    assert read_as(Table(good="fine"), rarer_than=1.0) == {"fine": "good"}


def test_the_quantile_must_be_a_share() -> None:
    with pytest.raises(ArgumentError, match="rarer_than"):
        read_as(rarer_than=1.5)
