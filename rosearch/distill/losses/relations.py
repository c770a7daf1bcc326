"""A loss on the relations between tokens in attention."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional

from rosearch.distill.losses.base import (
    DistillationLoss,
    Outputs,
    StudentShape,
    TeacherShape,
    distillation_losses,
)
from rosearch.distill.losses.labels import token_mean
from rosearch.distill.losses.layers import Layers, match_layers, teacher_layers_of
from rosearch.errors import EvaluationError


@distillation_losses.register("relations")
class RelationLoss(DistillationLoss):
    """``KL(R_teacher || R_student)`` with ``R = softmax(V V^T / sqrt(d))``: value relations.

    MiniLM (Wang et al. 2020, equations 4 and 5) introduced value relations for the last layer. As
    in MiniLMv2 (Wang et al. 2021, section 3.1) the values of all heads are concatenated and split
    into relation heads, so that teacher and student may differ in width and number of heads; their
    number is the greatest common divisor of the teacher's heads and the student's width. The
    divergence is averaged over relation heads and the real tokens of a text, over texts, and over
    the pairs of layers. Relations of queries and keys, which MiniLMv2 adds, are left out, because
    they would triple the cache.

    Args:
        teacher: The teacher's sizes.
        student: The student's sizes.
        layers: Teacher layers from 1, matched by relative depth with the student's attention
            nodes, or pairs of a student's attention node and a teacher's layer. Default: the
            teacher's last layer and the student's last attention node.

    Raises:
        ArgumentError: The teacher has no such layer.
        EvaluationError: The student has no attention.
    """

    needs = ("values",)

    def __init__(
        self, teacher: TeacherShape, student: StudentShape, *, layers: Layers | None = None
    ) -> None:
        super().__init__(teacher, student)
        self.teacher_layers(teacher, layers=layers)
        if not student.attention:
            raise EvaluationError(
                "The loss 'relations' compares attention, but this student has no attention node. "
                "Search a space whose students have one, or leave out the loss."
            )
        self.heads = math.gcd(teacher.heads, student.width)
        if layers is None:
            last = max(student.attention, key=lambda node: (student.depths[node], node))
            self.pairs = ((last, teacher.layers),)
        else:
            self.pairs = match_layers(
                layers, count=teacher.layers, depths=student.depths, among=student.attention
            )

    @classmethod
    def teacher_layers(cls, teacher: TeacherShape, **settings: Any) -> tuple[int, ...]:
        layers = settings.get("layers")
        if layers is None:
            return (teacher.layers,)
        return teacher_layers_of(layers, count=teacher.layers, minimum=1)

    def forward(
        self, student: Outputs, teacher: Outputs, *, mask: torch.Tensor, labels: torch.Tensor | None
    ) -> torch.Tensor:
        errors = []
        for node, layer in self.pairs:
            own = log_relations(student.values[node], mask, heads=self.heads)
            given = log_relations(teacher.values[layer], mask, heads=self.heads)
            # At padded keys both logarithms are very negative and the teacher's probability is 0.
            divergence = functional.kl_div(own, given, reduction="none", log_target=True)
            errors.append(divergence.sum(dim=-1).mean(dim=1))
        return token_mean(errors, mask)


def log_relations(values: torch.Tensor, mask: torch.Tensor, *, heads: int) -> torch.Tensor:
    """Return ``log softmax(V V^T / sqrt(d))`` for each relation head, over the real tokens.

    Args:
        values: ``(batch, length, width)``, the values of all heads concatenated.
        mask: bool ``(batch, length)``, true at real tokens.
        heads: Number of relation heads; must divide the width.

    Returns:
        float32 ``(batch, heads, length, length)``.
    """
    batch, length, width = values.shape
    split = values.float().reshape(batch, length, heads, width // heads).transpose(1, 2)
    scores = split @ split.transpose(2, 3) / math.sqrt(split.shape[-1])
    # A large finite number: with minus infinity the divergence at padded keys would be NaN.
    scores = scores.masked_fill(~mask[:, None, None, :], -1e9)
    return functional.log_softmax(scores, dim=-1)
