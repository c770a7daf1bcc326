"""Goal functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rosearch.attack import (
    DeepWordBug,
    RobustnessEvaluator,
    Targeted,
    Untargeted,
)
from rosearch.attack.testing import hashing_classifier
from rosearch.data import TextDataset
from rosearch.errors import ArgumentError, DataError

TABLE = np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4], [0.5, 0.5, 0.0]], dtype=np.float32)


def test_untargeted_scores_and_success() -> None:
    answer = Untargeted().judge(TABLE, 0)
    assert answer.scores.dtype == np.float32
    assert answer.scores.tolist() == pytest.approx([0.3, 0.7, 0.5])
    assert answer.succeeded.tolist() == [False, True, False]  # a tie goes to the first class
    assert Untargeted().settings == {"name": "untargeted"}


def test_targeted_scores_and_success() -> None:
    answer = Targeted(2).judge(TABLE, 0)
    assert answer.scores.tolist() == pytest.approx([0.1, 0.4, 0.0])
    assert answer.succeeded.tolist() == [False, True, False]
    assert Targeted(2).settings == {"name": "targeted", "target": 2}


def test_no_texts() -> None:
    for goal in (Untargeted(), Targeted(1)):
        answer = goal.judge(np.empty((0, 3), np.float32), 0)
        assert answer.scores.shape == answer.succeeded.shape == (0,)


@pytest.mark.parametrize("target", [-1, 1.5, True, "b", None])
def test_target_must_be_a_whole_number(target: Any) -> None:
    with pytest.raises(ArgumentError, match="target must be a whole number from 0"):
        Targeted(target)


def test_target_must_be_a_class_of_the_victim() -> None:
    with pytest.raises(DataError, match=r"class 3, .* 3 classes, 0 to 2"):
        Targeted(3).judge(TABLE, 0)


def classify(texts: Any) -> np.ndarray:
    return hashing_classifier(texts, 4)


@pytest.mark.parametrize("target", [0, 3])
def test_targeted_attack_succeeds_in_its_target_class(dataset: Any, target: int) -> None:
    texts = dataset.texts[:60]
    labels = classify(texts).argmax(axis=1).tolist()
    data = TextDataset(texts, labels, classes="abcd")
    settings: dict[str, Any] = {"examples": range(60), "progress": False}
    report = RobustnessEvaluator(DeepWordBug(), data, goal=Targeted(target), **settings).evaluate(
        classify
    )
    anything = RobustnessEvaluator(DeepWordBug(), data, **settings).evaluate(classify)
    for result in report.examples:
        met = result.perturbed_predicted == target
        assert (result.status == "succeeded") == met
        assert (result.status == "skipped") == (result.label == target)
    count = sum(r.status == "succeeded" for r in report.examples)
    assert 0 < count < anything.succeeded
    # Rates refer to the true class: an attack that misses the target may break the example.
    assert report.succeeded == sum(r.broken for r in report.examples) >= count
    assert report.settings["goal"] == {"name": "targeted", "target": target}


@pytest.mark.parametrize("target", [0, 2])
def test_targeted_attack_with_a_query_budget(dataset: Any, target: int) -> None:
    data = TextDataset(dataset.texts, [1] * len(dataset.texts), classes="abcd")
    report = RobustnessEvaluator(
        DeepWordBug(), data, goal=Targeted(target), query_budget=9, progress=False, examples=80
    ).evaluate(classify)
    for result in report.examples:
        assert result.queries <= 9
        if result.status in ("succeeded", "failed"):
            assert (result.perturbed_predicted == target) == (result.status == "succeeded")
