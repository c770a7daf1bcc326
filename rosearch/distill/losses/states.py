"""Losses on hidden states: of every token, and of the text as a whole."""

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
from rosearch.distill.losses.labels import required, token_shares
from rosearch.distill.losses.layers import Layers, check_layers, default_layers, match_layers


@distillation_losses.register("hidden_states")
class HiddenStateLoss(DistillationLoss):
    """``MSE(H_student W, H_teacher)``, ``W`` learned (TinyBERT, Jiao et al. 2020, equation 8).

    The squared difference is averaged over the channels and real tokens of a text, over texts, and
    over the matched pairs of layers, so that the loss does not grow with the student's depth. Each
    pair has its own ``W``, without bias, where TinyBERT's published code shares one: the nodes of a
    graph are less alike than the layers of a stack.

    Args:
        teacher: The teacher's sizes.
        student: The student's.
        layers: Teacher layers, matched with nodes by relative depth, or pairs of a student's node
            and a teacher's layer (0 is the embedding on either side). Default: the layers at a
            third, two thirds and the end of the teacher's depth.

    Raises:
        ValueError: The teacher has no such layer.
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
        return check_layers(layers, count=teacher.layers, least=0)

    def student_layers(self) -> tuple[int, ...]:
        return tuple(node for node, _ in self.pairs)

    def forward(
        self,
        student: Outputs,
        teacher: Outputs,
        *,
        mask: torch.Tensor,
        labels: torch.Tensor | None,
    ) -> torch.Tensor:
        share = token_shares(mask)
        total = torch.zeros((), device=mask.device)
        for (node, layer), projection in zip(self.pairs, self.projections, strict=True):
            projected = projection(student.hidden_states[node]).float()
            difference = projected - teacher.hidden_states[layer].float()
            # Zero first: what stands at padding may be too large to be squared.
            error = difference.masked_fill(~mask.unsqueeze(-1), 0.0).square().mean(dim=-1)
            total = total + (error * share).sum()
        return total / len(self.pairs)


@distillation_losses.register("pooled_cosine")
class PooledCosineLoss(DistillationLoss):
    """``1 - cos(W p_student, p_teacher)``, the mean over texts.

    After the cosine loss of DistilBERT (Sanh et al. 2019, section 2), with two differences: there
    it aligns the last hidden states of all tokens, here one vector a text; and there both sides
    have one width, here a learned ``W`` (no bias) leads from the student's width to the teacher's,
    and is left out where they are equal.

    Args:
        teacher: The teacher's sizes.
        student: The student's.
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
        self,
        student: Outputs,
        teacher: Outputs,
        *,
        mask: torch.Tensor,
        labels: torch.Tensor | None,
    ) -> torch.Tensor:
        projected = self.projection(required(student.pooled)).float()
        cosine = functional.cosine_similarity(projected, required(teacher.pooled).float(), dim=-1)
        return 1.0 - cosine.mean()
