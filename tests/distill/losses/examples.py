"""Sizes and random outputs of a teacher and a student."""

from __future__ import annotations

from typing import Any

import torch

from rosearch.distill import Outputs, StudentShape, TeacherShape, distillation_losses

TEACHER = TeacherShape(layers=12, width=24, heads=4)
STUDENT = StudentShape(width=8, depths=(0, 1, 2), attention=(1, 2))


def make(name: str, teacher: Any = TEACHER, student: Any = STUDENT, **settings: Any) -> Any:
    torch.manual_seed(0)
    return distillation_losses.get(name)(teacher, student, **settings)


def sides(lengths: tuple[int, ...] = (5, 3), longest: int = 5) -> tuple[Outputs, Outputs, Any]:
    """Random outputs of student and teacher; noise where there is padding."""
    torch.manual_seed(1)
    batch = len(lengths)
    mask = torch.arange(longest)[None, :] < torch.tensor(lengths)[:, None]

    def tokens(width: int) -> torch.Tensor:
        return torch.randn(batch, longest, width)

    student = Outputs(
        logits=torch.randn(batch, 3),
        pooled=torch.randn(batch, 8),
        hidden_states={n: tokens(8) for n in range(3)},
        values={n: tokens(8) for n in (1, 2)},
    )
    teacher = Outputs(
        logits=torch.randn(batch, 3),
        pooled=torch.randn(batch, 24),
        hidden_states={n: tokens(24) for n in range(13)},
        values={n: tokens(24) for n in range(1, 13)},
    )
    return student, teacher, mask
