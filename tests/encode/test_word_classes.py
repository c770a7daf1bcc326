"""Word classes: which words are merged, and that strength trades scores for fewer classes."""

from __future__ import annotations

import numpy as np
import pytest

from rosearch.data import TextDataset
from rosearch.encode import Evidence, WordClasses
from rosearch.errors import ArgumentError
from tests.encode.exchanged import Table

TABLE = Table(good="great dull nice", great="good", dull="good boring", film="movie", odd="strange")


def reviews() -> TextDataset:
    adjectives = {"good": 1, "great": 1, "nasty": 0, "dull": 0}
    pairs = [(w, noun) for w in ("good", *adjectives) for noun in ("film", "movie")]
    texts = [f"a {adjective} {noun}" for adjective, noun in pairs]
    labels = [adjectives[adjective] for adjective, _ in pairs]
    return TextDataset(texts * 5, labels * 5, classes=("no", "yes"))


def classes(strength: float, evidence: TextDataset | Evidence | None = None) -> dict[str, str]:
    evidence = evidence or Evidence(reviews(), exchanges=TABLE)
    found: dict[str, str] = WordClasses.fit(evidence, strength=strength).learnt["representatives"]
    return {word: other for word, other in found.items() if word != other}


def test_words_of_like_scores_are_merged_and_others_are_not() -> None:
    found = classes(0.2)
    assert found["movie"] == "film"
    assert found["great"] == "good"
    assert "dull" not in found


def test_weak_smoothing_merges_only_equal_scores_and_words_that_no_text_contains() -> None:
    assert classes(1e-7) == {"movie": "film"}
    # An unseen word has no score of its own to keep.
    found = classes(1e-2)
    assert found["nice"] == "good"
    assert not {"great", "dull"} & found.keys()


def test_great_strength_merges_all_words_that_exchanges_connect() -> None:
    assert classes(1e4) == {
        **dict.fromkeys(["great", "nice", "boring", "dull"], "good"),
        "movie": "film",
    }


def test_a_class_is_read_as_its_most_frequent_word() -> None:
    texts = ["movie movie film", "film movie plot"]
    train = TextDataset(texts, [0, 1])
    assert classes(10.0, Evidence(train, exchanges=TABLE))["film"] == "movie"


def test_answers_take_the_place_of_labels() -> None:
    train = reviews()
    answers = np.eye(2)[[int("film" in text) for text in train.texts]]
    found = classes(0.1, Evidence(train, answers=answers, exchanges=TABLE))
    assert "movie" not in found
    assert found["dull"] == "good"


def test_more_than_two_classes() -> None:
    train = TextDataset(
        ["good film", "great film", "dull movie", "odd movie"] * 5, [0, 0, 1, 2] * 5
    )
    found = classes(0.1, Evidence(train, exchanges=TABLE))
    assert found["great"] == "good"
    assert found["strange"] == "odd"
    assert "dull" not in found


def test_the_replacements_of_a_word_share_its_weight() -> None:
    # In score, "great" is to its two replacements what "good" is to its one.
    counts = {"good": 800, "great": 800, "dull": 800, "awful": 400, "terrible": 400}
    texts = [word for word, count in counts.items() for _ in range(count)]
    answers = np.where(np.arange(len(texts))[:, None] < 1600, [0.1, 0.9], [0.9, 0.1])
    train = TextDataset.unlabelled(texts, classes=("no", "yes"))
    table = Table(good="dull", great="awful terrible")
    evidence = Evidence(train, answers=answers, exchanges=table)
    # Two words of scores -s and s and as many occurrences meet where the strength is s over the
    # average number of replacements, 1.5.
    strength = np.log(9) / 1.5
    assert classes(0.9 * strength, evidence) == {}
    assert classes(1.1 * strength, evidence) == {
        "good": "dull",
        "awful": "great",
        "terrible": "great",
    }


def test_strength_must_be_above_0() -> None:
    with pytest.raises(ArgumentError, match="strength"):
        classes(0.0)
