"""The order of class names."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import pytest

from rosearch.data import TextDataset, check_class_order, class_names, warn_if_useless
from rosearch.errors import DataError

MNLI = ["entailment", "neutral", "contradiction"]


@pytest.mark.parametrize(
    "theirs",
    [["contradiction", "neutral", "entailment"], ["Neutral", "Entailment", "Contradiction"]],
)
def test_another_order(theirs: list[str]) -> None:
    config = SimpleNamespace(id2label=dict(enumerate(MNLI)))
    with pytest.raises(DataError, match="The model's classes are in the order entailment, neu"):
        check_class_order(config, theirs, owner="The model")


@pytest.mark.parametrize(
    ("own", "theirs"),
    [
        (MNLI, ["Entailment", "NEUTRAL", "contradiction"]),
        (MNLI, ["yes", "maybe", "no"]),
        (MNLI, ["contradiction", "neutral", "other"]),
        (["LABEL_1", "LABEL_0"], ["LABEL_0", "LABEL_1"]),
        (["1", "0"], ["0", "1"]),
        (["LABEL_0", "LABEL_1"], ["negative", "positive"]),
        (["negative"], ["positive", "negative"]),
    ],
)
def test_nothing_to_say(own: list[str], theirs: list[str]) -> None:
    check_class_order(SimpleNamespace(id2label=dict(enumerate(own))), theirs, owner="The model")


def test_models_without_names() -> None:
    check_class_order(None, MNLI, owner="The model")
    check_class_order(SimpleNamespace(), MNLI, owner="The model")


class TestUselessClassifiers:
    def test_told_where_a_constant_answer_is_as_good(self):
        data = TextDataset("a b c d".split(), [0, 1, 1, 1])
        for accuracy in (0.0, 0.75):
            with pytest.warns(
                UserWarning, match=rf"The thing's accuracy is {accuracy:.3f}.*0\.750"
            ):
                warn_if_useless(accuracy, data, owner="The thing")

    def test_silent_where_it_is_not(self):
        data = TextDataset("a b c d".split(), [0, 1, 1, 1])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warn_if_useless(0.76, data, owner="The thing")


@pytest.mark.parametrize(
    ("own", "theirs", "expected"),
    [
        ({0: "no", 1: "yes"}, ["0", "1"], ("no", "yes")),
        ({"0": "no", "1": "yes"}, ["0", "1"], ("no", "yes")),
        ({0: "no", 1: "yes"}, ["bad", "good"], ("bad", "good")),
        ({0: "no", 1: "yes", 2: "maybe"}, ["0", "1"], ("0", "1")),
        ({0: "no"}, ["0", "1"], ("0", "1")),
        (None, ["0", "1"], ("0", "1")),
    ],
)
def test_names_of_classes(own: Any, theirs: list[str], expected: tuple[str, ...]) -> None:
    assert class_names(SimpleNamespace(id2label=own), theirs) == expected
