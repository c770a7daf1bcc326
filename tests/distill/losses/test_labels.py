"""Soft and hard labels against their equations."""

from __future__ import annotations

import pytest
import torch

from rosearch.distill import (
    Outputs,
    soft_label_loss,
)
from tests.distill.losses.examples import make, sides


class TestSoftLabels:
    def test_value_by_hand(self) -> None:
        student = torch.tensor([[0.0, 1.0], [2.0, -1.0]])
        target = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
        p = torch.softmax(target / 3, dim=1)
        q = torch.softmax(student / 3, dim=1)
        expected = 9 * (p * (p / q).log()).sum(dim=1).mean()
        torch.testing.assert_close(soft_label_loss(student, target, temperature=3.0), expected)
        loss = make("soft_labels", temperature=3.0)
        mixed = loss(Outputs(logits=student), Outputs(logits=target), mask=None, labels=None)
        torch.testing.assert_close(mixed, expected)

    def test_zero_exactly_at_the_teacher(self) -> None:
        logits = torch.randn(5, 3)
        assert soft_label_loss(logits, logits, temperature=2.0).abs() < 1e-6
        assert soft_label_loss(logits + 1.0, logits, temperature=2.0).abs() < 1e-6
        assert soft_label_loss(logits.flip(1), logits, temperature=2.0) > 1e-3

    def test_gradient_keeps_its_size_over_temperatures(self) -> None:
        # Hinton et al. 2015: for high temperatures the gradient tends to the logits' difference.
        student, target = torch.randn(4, 3), torch.randn(4, 3)
        norms = []
        for temperature in (20.0, 200.0):
            leaf = student.clone().requires_grad_()
            soft_label_loss(leaf, target, temperature=temperature).backward()
            norms.append(float(leaf.grad.norm()))  # type: ignore[union-attr]
        assert norms[0] == pytest.approx(norms[1], rel=0.1)


def test_hard_labels_are_cross_entropy() -> None:
    student, teacher, mask = sides()
    labels = torch.tensor([2, 0])
    shares = torch.log_softmax(student.logits, dim=1)  # type: ignore[arg-type]
    expected = -(shares[0, 2] + shares[1, 0]) / 2
    torch.testing.assert_close(
        make("hard_labels")(student, teacher, mask=mask, labels=labels), expected
    )
