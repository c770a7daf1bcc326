"""Losses on hidden states and pooled vectors against their equations."""

from __future__ import annotations

import pytest
import torch

from rosearch.distill import (
    Outputs,
    StudentShape,
)
from tests.distill.losses.examples import make, sides


class TestHiddenStates:
    def test_value_by_hand(self) -> None:
        student, teacher, mask = sides()
        loss = make("hidden_states", layers=[[1, 4], [2, 12]])
        total = 0.0
        for (node, layer), projection in zip(loss.pairs, loss.projections, strict=True):
            for row, length in enumerate((5, 3)):
                own = projection(student.hidden_states[node][row, :length])
                error = (own - teacher.hidden_states[layer][row, :length]).square().mean()
                total += float(error.detach()) / 2
        value = loss(student, teacher, mask=mask, labels=None)
        assert float(value.detach()) == pytest.approx(total / 2, rel=1e-5)
        assert all(p.bias is None and p.weight.shape == (24, 8) for p in loss.projections)

    def test_a_linear_image_of_the_teacher_can_be_learnt(self) -> None:
        student, _, mask = sides()
        loss = make("hidden_states", layers=[[2, 12]])
        image = torch.randn(24, 8)
        hidden = {12: student.hidden_states[2] @ image.T}
        optimizer = torch.optim.Adam(loss.parameters(), lr=0.1)
        for _ in range(400):
            value = loss(student, Outputs(hidden_states=hidden), mask=mask, labels=None)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        assert float(value.detach()) < 1e-3


class TestPooledCosine:
    def test_value_by_hand(self) -> None:
        student, teacher, mask = sides()
        loss = make("pooled_cosine")
        projected = student.pooled @ loss.projection.weight.T  # type: ignore[operator]
        cosines = [
            a @ b / (a.norm() * b.norm())
            for a, b in zip(projected, teacher.pooled, strict=True)  # type: ignore[arg-type]
        ]
        expected = 1 - (cosines[0] + cosines[1]) / 2
        torch.testing.assert_close(loss(student, teacher, mask=mask, labels=None), expected)

    def test_equal_widths_need_no_projection(self) -> None:
        loss = make("pooled_cosine", student=StudentShape(width=24, depths=(0, 1)))
        assert list(loss.parameters()) == []
        vector = torch.randn(3, 24)
        value = loss(Outputs(pooled=2 * vector), Outputs(pooled=vector), mask=None, labels=None)
        assert float(value) == pytest.approx(0.0, abs=1e-6)
