"""The relation loss against its equation, and its heads and layers."""

from __future__ import annotations

import math

import pytest
import torch

from rosearch.distill import Outputs, StudentShape, TeacherShape
from rosearch.errors import EvaluationError
from tests.distill.losses.examples import make, sides


class TestRelations:
    def test_value_by_hand(self) -> None:
        student, teacher, mask = sides()
        loss = make("relations", teacher=TeacherShape(layers=12, width=24, heads=2))
        assert loss.pairs == ((2, 12),)
        total = 0.0
        for row, length in enumerate((5, 3)):
            for head in range(2):
                own = student.values[2][row, :length, 4 * head : 4 * head + 4]
                given = teacher.values[12][row, :length, 12 * head : 12 * head + 12]
                q = torch.softmax(own @ own.T / math.sqrt(4), dim=1)
                p = torch.softmax(given @ given.T / math.sqrt(12), dim=1)
                total += float((p * (p / q).log()).sum()) / length / 2 / 2
        value = loss(student, teacher, mask=mask, labels=None)
        assert float(value) == pytest.approx(total, rel=1e-4)

    def test_zero_exactly_at_the_teacher(self) -> None:
        _, teacher, mask = sides()
        loss = make("relations", student=StudentShape(24, (0, 1), (1,)), layers=[[1, 12]])
        assert loss.heads == 4
        for own, zero in ((teacher.values[12], True), (teacher.values[11], False)):
            value = loss(Outputs(values={1: own}), teacher, mask=mask, labels=None)
            assert (abs(float(value)) < 1e-6) is zero

    def test_heads_by_default_divide_both_widths(self) -> None:
        assert make("relations").heads == 4
        assert make("relations", student=StudentShape(10, (0, 1), (1,))).heads == 2

    def test_a_student_without_attention(self) -> None:
        with pytest.raises(EvaluationError, match="this student has no attention node"):
            make("relations", student=StudentShape(8, (0, 1)))

    def test_layers_are_matched_with_attention_nodes(self) -> None:
        student = StudentShape(8, (0, 1, 2, 3, 4), attention=(1, 3))
        assert make("relations", student=student).pairs == ((3, 12),)
        assert make("relations", student=student, layers=[4, 12]).pairs == ((1, 4), (3, 12))
        with pytest.raises(
            EvaluationError, match=r"node 2 of this student cannot be matched; .* are 1, 3"
        ):
            make("relations", student=student, layers=[[2, 12]])
