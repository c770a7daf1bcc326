"""Soft and hard labels against their equations."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

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

    def test_weights_of_other_libraries(self) -> None:
        """TextBrewer's kd_ce_loss and torchdistill's KDLoss, as the docs translate them."""
        temperature, alpha = 4.0, 0.3
        student, target = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3)
        labels = torch.tensor([0, 2, 1, 1])
        shares = torch.log_softmax(student / temperature, dim=1)
        wanted = torch.softmax(target / temperature, dim=1)
        divergence = functional.kl_div(shares, wanted, reduction="batchmean")
        hard = functional.cross_entropy(student, labels)
        textbrewer = -(wanted * shares).sum(dim=1).mean() + alpha * hard
        torchdistill = alpha * hard + (1 - alpha) * temperature**2 * divergence

        ours = {
            name: make(name, **settings)(
                Outputs(logits=student), Outputs(logits=target), mask=None, labels=labels
            )
            for name, settings in (
                ("soft_labels", {"temperature": temperature}),
                ("hard_labels", {}),
            )
        }
        for theirs, soft, weight in (
            (textbrewer, 1 / temperature**2, alpha),
            (torchdistill, 1 - alpha, alpha),
            (divergence, 1 / temperature**2, 0.0),  # torchdistill with alpha=0
        ):
            mixed = soft * ours["soft_labels"] + weight * ours["hard_labels"]
            found, expected = (
                torch.autograd.grad(loss, student, retain_graph=True)[0] for loss in (mixed, theirs)
            )
            torch.testing.assert_close(found, expected)

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
