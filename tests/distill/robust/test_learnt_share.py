"""What a student has learnt beyond a constant answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rosearch.distill.losses.labels import HardLabels
from rosearch.distill.robust.learnt_share import LearntShare, constant_losses
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


class Classifier(nn.Module):
    """Answers by the first token."""

    def __init__(self, answers: list[list[float]]) -> None:
        super().__init__()
        self.answers = torch.tensor(answers)

    def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
        return SimpleNamespace(logits=self.answers[input_ids[:, 0]])


@pytest.mark.parametrize(
    ("answers", "better"), [([[1.0, -1.0], [1.0, -1.0]], False), ([[2.0, -2.0], [-2.0, 2.0]], True)]
)
def test_the_loss_of_the_mean_answer(answers: list[list[float]], better: bool) -> None:
    model, objective = Classifier(answers), HardLabels(np.array([0, 1, 1]))
    inputs = {"input_ids": torch.tensor([[0], [1], [1]])}
    batch = Batch(inputs, [], np.arange(3))
    with constant_losses(model, objective, batch) as found:
        loss = objective(model, inputs, batch.numbers)
    assert len(found) == 1
    if better:
        share = torch.tensor(answers).softmax(1)[[0, 1, 1]].mean(0)
        expected = -(share[0].log() + 2 * share[1].log()) / 3
        assert float(found[0]) == pytest.approx(float(expected))
        assert float(found[0]) > 10 * float(loss)
    else:
        assert float(found[0]) == pytest.approx(float(loss))
    model(**inputs)  # outside, nothing is collected
    assert len(found) == 1
