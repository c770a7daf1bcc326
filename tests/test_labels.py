"""The order of class names."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from rosearch.errors import DataError
from rosearch.labels import check_class_order

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
