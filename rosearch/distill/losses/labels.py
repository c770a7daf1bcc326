"""Losses on logits: against the teacher's predictions and against true labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from rosearch.checks import positive
from rosearch.distill.losses.base import (
    DistillationLoss,
    Outputs,
    StudentShape,
    TeacherShape,
    distillation_losses,
)


def soft_label_loss(
    student_logits: torch.Tensor, teacher_logits: torch.Tensor, *, temperature: float
) -> torch.Tensor:
    """Return ``T^2 KL(softmax(z_teacher / T) || softmax(z_student / T))``, averaged over the batch.

    Hinton, Vinyals and Dean 2015, section 2. The factor ``T^2`` makes the size of the gradients
    independent of the temperature.

    Args:
        student_logits: ``(batch, classes)``.
        teacher_logits: ``(batch, classes)``.
        temperature: ``T``; above 1, small probabilities of the teacher have more weight.
    """
    student = functional.log_softmax(student_logits.float() / temperature, dim=-1)
    teacher = functional.log_softmax(teacher_logits.float() / temperature, dim=-1)
    divergence = functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return divergence * temperature**2


@distillation_losses.register("soft_labels")
class SoftLabelLoss(DistillationLoss):
    """``T^2 KL(softmax(z_teacher / T) || softmax(z_student / T))`` (Hinton, Vinyals and Dean 2015,
    section 2), summed over classes and averaged over texts.

    Args:
        teacher: The teacher's sizes.
        student: The student's sizes.
        temperature: ``T``, above 0.

    Raises:
        ArgumentError: ``temperature`` is not above 0.
    """

    needs = ("logits",)

    def __init__(
        self, teacher: TeacherShape, student: StudentShape, *, temperature: float = 2.0
    ) -> None:
        super().__init__(teacher, student)
        self.temperature = positive("temperature", temperature)

    def forward(
        self, student: Outputs, teacher: Outputs, *, mask: torch.Tensor, labels: torch.Tensor | None
    ) -> torch.Tensor:
        return soft_label_loss(
            required(student.logits), required(teacher.logits), temperature=self.temperature
        )


@distillation_losses.register("hard_labels")
class HardLabelLoss(DistillationLoss):
    """Cross-entropy with true labels: ``-log softmax(z_student)[label]``, averaged over texts."""

    needs_labels = True

    def forward(
        self, student: Outputs, teacher: Outputs, *, mask: torch.Tensor, labels: torch.Tensor | None
    ) -> torch.Tensor:
        return functional.cross_entropy(required(student.logits).float(), required(labels))


def token_mean(errors: Sequence[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
    """Return the mean over the tokens of a text, then over texts, then over ``errors``.

    Texts have equal weight, whatever their length; a text without tokens has loss 0. So the loss of
    a batch is the mean of its texts' losses, however the batch is divided.

    Args:
        errors: At least one float32 ``(batch, length)``.
        mask: bool ``(batch, length)``, true at real tokens.
    """
    real = mask.float()
    share = real / (real.sum(dim=1, keepdim=True).clamp(min=1) * len(mask))
    total = torch.zeros((), device=mask.device)
    for error in errors:
        total = total + (error * share).sum()
    return total / len(errors)


def required(tensor: torch.Tensor | None) -> torch.Tensor:
    """Return an output that a loss needs, or raise a RuntimeError if ``needs`` lacks it."""
    if tensor is None:
        raise RuntimeError("A loss reads outputs or labels that its class does not declare.")
    return tensor


class HardLabels(nn.Module):
    """An objective for any classifier: cross-entropy with the true labels.

    Args:
        labels: int64 ``(examples,)``.
    """

    def __init__(self, labels: np.ndarray) -> None:
        super().__init__()
        self.labels = torch.tensor(labels)

    def forward(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], rows: np.ndarray
    ) -> torch.Tensor:
        """Return the mean loss of a batch.

        Args:
            model: A Hugging Face sequence classifier.
            inputs: Its keyword arguments.
            rows: int64 ``(batch,)``, the row numbers of the batch's examples.
        """
        logits = model(**inputs).logits
        return functional.cross_entropy(logits, self.labels[rows].to(logits.device))
