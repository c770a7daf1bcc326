"""Creation and description of victims."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from rosearch.attack import DeepWordBug, FunctionVictim, ModelVictim, RobustnessEvaluator
from rosearch.attack.victim.make import make_victim
from rosearch.data import TextDataset
from rosearch.errors import DataError, EvaluationError


def test_new_victim_uses_changed_weights(tiny_bert: Callable[..., Any], tokenizer: Any) -> None:
    model = tiny_bert()
    before = make_victim(model, tokenizer).probabilities(["a film"])
    with torch.no_grad():
        model.classifier.bias += torch.tensor([3.0, 0.0])
    after = make_victim(model, tokenizer).probabilities(["a film"])
    assert after[0, 0] > before[0, 0]


def test_model_with_another_number_of_classes_is_rejected(
    tiny_bert: Callable[..., Any], tokenizer: Any
) -> None:
    victim = make_victim(tiny_bert(3), tokenizer)
    victim.expect(2)
    with pytest.raises(EvaluationError, match="has 3 classes, but the data set has 2"):
        victim.probabilities(["a film"])


def test_objects_that_cannot_be_attacked_are_rejected(
    tiny_bert: Callable[..., Any], tokenizer: Any
) -> None:
    with pytest.raises(DataError, match="no tokenizer attribute"):
        make_victim(tiny_bert())
    with pytest.raises(DataError, match="Cannot attack int"):
        make_victim(3)
    model = tiny_bert()
    model.tokenizer = tokenizer
    assert isinstance(make_victim(model), ModelVictim)
    victim = FunctionVictim(len)  # type: ignore[arg-type]
    assert make_victim(victim) is victim


def test_number_of_classes_of_a_given_victim_is_checked() -> None:
    data = TextDataset(["a b", "c d"], [0, 1])
    evaluator = RobustnessEvaluator([DeepWordBug()], data, examples=None, progress=False)
    three = FunctionVictim(lambda texts: [[1.0, 0.0, 0.0]] * len(texts), outputs="probabilities")
    with pytest.raises(EvaluationError, match=r"has 3 classes, but the data set has 2.*classes="):
        evaluator.evaluate(three)
    known = FunctionVictim(lambda texts: [[1.0, 0.0]] * len(texts))
    known.expect(3)
    with pytest.raises(EvaluationError, match="has 3 classes, but the data set has 2"):
        evaluator.evaluate(known)
