"""What a student has learnt beyond a constant answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from rosearch.distill.robust.learnt_share import LearntShare
from rosearch.distill.training.hooks import Batch


def test_running_means() -> None:
    learnt = LearntShare()
    assert learnt.share == 0
    learnt.observe(0.9, 1.0)
    assert learnt.share == pytest.approx(0.1)
    learnt.observe(0.5, 1.0)  # at first plain means
    assert learnt.share == pytest.approx(0.3)
    for _ in range(300):
        learnt.observe(0.6, 2.0)
    assert learnt.share == pytest.approx(0.7)
    learnt.observe(2.0, 2.0)
    assert learnt.share == pytest.approx(0.95 * 0.7)
    for _ in range(300):
        learnt.observe(3.0, 2.0)
    assert learnt.share == 0


def test_a_loss_counts_for_missed_steps_before_it() -> None:
    learnt = LearntShare()
    for _ in range(300):
        learnt.observe(0.5, 1.0)
    for _ in range(3):
        learnt.miss()
    learnt.observe(1.0, 1.0)
    assert learnt.share == pytest.approx(0.95**4 * 0.5)
    learnt.observe(1.0, 1.0)
    assert learnt.share == pytest.approx(0.95**5 * 0.5)


def test_the_mean_answer_is_that_of_many_texts() -> None:
    learnt = LearntShare()
    first, second = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert learnt.answer(first).exp() == pytest.approx(first.softmax(1)[0])
    both = (first.softmax(1) + second.softmax(1))[0] / 2
    assert learnt.answer(second).exp() == pytest.approx(both)
    for _ in range(1000):
        for one in (first, second):
            mean = learnt.answer(one).exp()
    assert mean == pytest.approx(both, abs=2e-3)


class Classifier(nn.Module):
    """Answers by the first token."""

    def __init__(self, answers: list[list[float]]) -> None:
        super().__init__()
        self.answers = torch.tensor(answers)

    def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
        return SimpleNamespace(logits=self.answers[input_ids[:, 0]])


class CrossEntropy:
    labels = torch.tensor([0, 1, 1])

    def answer_loss(self, logits: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
        return functional.cross_entropy(logits, self.labels[rows])


RIGHT, CONSTANT = [[2.0, -2.0], [-2.0, 2.0]], [[1.0, -1.0], [1.0, -1.0]]


def seen(answers: list[list[float]], *batches: list[int]) -> LearntShare:
    learnt, model = LearntShare(), Classifier(answers)
    texts = torch.tensor([[0], [1], [1]])
    for rows in batches:
        inputs = {"input_ids": texts[rows]}
        with learnt.observing(model, CrossEntropy(), Batch(inputs, [], np.array(rows))):
            model(**inputs)
    model(texts)  # outside, nothing is counted
    return learnt


def test_a_constant_classifier_has_learnt_nothing() -> None:
    assert seen(CONSTANT, [0, 1, 2]).share == 0
    assert seen(CONSTANT, *[[k % 3] for k in range(30)]).share == 0
    right = torch.tensor(RIGHT).softmax(1)[[0, 1, 1]]
    mean = right.mean(0).log().expand(3, 2)
    constant = functional.cross_entropy(mean, CrossEntropy.labels)
    own = functional.cross_entropy(torch.tensor(RIGHT)[[0, 1, 1]], CrossEntropy.labels)
    assert seen(RIGHT, [0, 1, 2]).share == pytest.approx(float(1 - own / constant))


def test_without_losses_of_answers_nothing_is_held_back() -> None:
    learnt, model = LearntShare(), Classifier(CONSTANT)
    inputs = {"input_ids": torch.tensor([[0], [1]])}
    objective = SimpleNamespace(answer_loss=lambda *_: None)
    with learnt.observing(model, objective, Batch(inputs, [], np.arange(2))):
        model(**inputs)
    assert learnt.share == 1


def test_batches_of_one_text() -> None:
    assert seen(RIGHT, *[[k % 3] for k in range(300)]).share > 0.9


def test_a_checkpoint_holds_the_mean_answer() -> None:
    learnt, other = seen(RIGHT, [0], [1]), LearntShare()
    other.load(learnt.state())
    logits = torch.tensor([[0.3, 0.4]])
    assert torch.equal(other.answer(logits), learnt.answer(logits))
    learnt.observe(0.2, 1.0)
    other.observe(0.2, 1.0)
    assert other.share == learnt.share
    other.load(LearntShare().state())
    assert other.share == 0
