"""What all losses on states have in common: padding, gradients, precision."""

from __future__ import annotations

import pytest
import torch

from rosearch.distill import (
    Outputs,
)
from tests.distill.losses.examples import make, sides


@pytest.mark.parametrize("name", ["hidden_states", "pooled_cosine", "relations"])
class TestEveryLossOnStates:
    def test_padding_has_no_effect(self, name: str) -> None:
        loss = make(name)
        student, teacher, mask = sides()
        value = loss(student, teacher, mask=mask, labels=None)
        noisy = Outputs(
            pooled=student.pooled,
            hidden_states={
                n: torch.where(mask[..., None], t, 1e4) for n, t in student.hidden_states.items()
            },
            values={n: torch.where(mask[..., None], t, 1e2) for n, t in student.values.items()},
        )
        torch.testing.assert_close(loss(noisy, teacher, mask=mask, labels=None), value)

    def test_gradients_reach_student_and_projections(self, name: str) -> None:
        loss = make(name)
        student, teacher, mask = sides()
        leaves = [student.pooled, *student.hidden_states.values(), *student.values.values()]
        for leaf in leaves:
            leaf.requires_grad_()  # type: ignore[union-attr]
        loss(student, teacher, mask=mask, labels=None).backward()
        reached = [leaf.grad for leaf in leaves if leaf.grad is not None]  # type: ignore[union-attr]
        assert reached
        assert all(g.isfinite().all() and g.abs().sum() > 0 for g in reached)
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in loss.parameters())

    def test_under_autocast_and_with_teacher_in_bfloat16(self, name: str) -> None:
        loss = make(name)
        student, teacher, mask = sides()
        exact = loss(student, teacher, mask=mask, labels=None)
        low = Outputs(
            pooled=teacher.pooled.bfloat16(),  # type: ignore[union-attr]
            hidden_states={n: t.bfloat16() for n, t in teacher.hidden_states.items()},
            values={n: t.bfloat16() for n, t in teacher.values.items()},
        )
        with torch.autocast("cpu", torch.bfloat16):
            value = loss(student, low, mask=mask, labels=None)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, exact, rtol=0.02, atol=0.005)


@pytest.mark.parametrize("name", ["hidden_states", "relations"])
def test_a_text_without_tokens_has_loss_zero(name: str) -> None:
    student, teacher, mask = sides(lengths=(5, 0))
    loss = make(name)
    value = loss(student, teacher, mask=mask, labels=None)
    alone = [
        Outputs(
            hidden_states={n: t[:1] for n, t in side.hidden_states.items()},
            values={n: t[:1] for n, t in side.values.items()},
        )
        for side in (student, teacher)
    ]
    torch.testing.assert_close(value, loss(*alone, mask=mask[:1], labels=None) / 2)
