"""Losses on hidden states, of every token and of the whole text."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from rosearch.distill.losses.base import (
    DistillationLoss,
    Outputs,
    StudentShape,
    TeacherShape,
    distillation_losses,
)
from rosearch.distill.losses.labels import required, token_mean
from rosearch.distill.losses.layers import Layers, default_layers, match_layers, teacher_layers_of


@distillation_losses.register("hidden_states")
class HiddenStateLoss(DistillationLoss):
    """``MSE(H_student W, H_teacher)`` with ``W`` learned (TinyBERT, Jiao et al. 2020, equation 8).

    The squared difference is averaged over the channels and real tokens of a text, over texts, and
    over the matched pairs of layers, so that the loss does not grow with the student's depth. Each
    pair has its own ``W``, without bias. TinyBERT's published code shares one ``W``; but the nodes
    of a graph are less alike than the layers of a stack.

    Args:
        teacher: The teacher's sizes.
        student: The student's sizes.
        layers: Teacher layers, matched with nodes by relative depth, or pairs of a student's node
            and a teacher's layer (0 is the embedding on either side). Default: the layers at a
            third, two thirds and the end of the teacher's depth.

    Raises:
        ArgumentError: The teacher has no such layer.
        EvaluationError: The student has no such node.
    """

    needs = ("hidden_states",)

    def __init__(
        self, teacher: TeacherShape, student: StudentShape, *, layers: Layers | None = None
    ) -> None:
        super().__init__(teacher, student)
        named = self.teacher_layers(teacher, layers=layers)
        self.pairs = match_layers(
            named if layers is None else layers, count=teacher.layers, depths=student.depths
        )
        self.projections = nn.ModuleList(
            nn.Linear(student.width, teacher.width, bias=False) for _ in self.pairs
        )

    @classmethod
    def teacher_layers(cls, teacher: TeacherShape, **settings: Any) -> tuple[int, ...]:
        layers = settings.get("layers")
        if layers is None:
            return default_layers(teacher.layers)
        return teacher_layers_of(layers, count=teacher.layers, minimum=0)

    def forward(
        self, student: Outputs, teacher: Outputs, *, mask: torch.Tensor, labels: torch.Tensor | None
    ) -> torch.Tensor:
        errors = []
        for (node, layer), projection in zip(self.pairs, self.projections, strict=True):
            projected = projection(student.hidden_states[node]).float()
            difference = projected - teacher.hidden_states[layer].float()
            # Masked before squaring, because values at padding may overflow.
            difference = difference.masked_fill(~mask.unsqueeze(-1), 0.0)
            errors.append(difference.square().mean(dim=-1))
        return token_mean(errors, mask)


@distillation_losses.register("pooled_cosine")
class PooledCosineLoss(DistillationLoss):
    """``1 - cos(W p_student, p_teacher)``, averaged over texts.

    After the cosine loss of DistilBERT (Sanh et al. 2019, section 2), with two differences: it
    compares one vector per text instead of every token, and unless the widths are equal, a learned
    ``W`` (without bias) maps the student's width to the teacher's.
    """

    needs = ("pooled",)

    def __init__(self, teacher: TeacherShape, student: StudentShape) -> None:
        super().__init__(teacher, student)
        self.projection = (
            nn.Identity()
            if student.width == teacher.width
            else nn.Linear(student.width, teacher.width, bias=False)
        )

    def forward(
        self, student: Outputs, teacher: Outputs, *, mask: torch.Tensor, labels: torch.Tensor | None
    ) -> torch.Tensor:
        projected = self.projection(required(student.pooled)).float()
        cosine = functional.cosine_similarity(projected, required(teacher.pooled).float(), dim=-1)
        return 1.0 - cosine.mean()
