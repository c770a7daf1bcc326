"""Losses on the classes: the teacher's answers and the true ones."""

from __future__ import annotations

import torch
from torch.nn import functional

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
    """``T^2 KL(softmax(z_teacher / T) || softmax(z_student / T))``, the mean over the batch.

    Hinton, Vinyals and Dean 2015, section 2; the factor ``T^2`` keeps the size of the gradients
    independent of the temperature.

    Args:
        student_logits: ``(batch, classes)``.
        teacher_logits: ``(batch, classes)``.
        temperature: ``T``; above 1 the teacher's smaller probabilities count more.
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
        student: The student's.
        temperature: ``T``, above 0.

    Raises:
        ValueError: ``temperature`` is not above 0.
    """

    needs = ("logits",)

    def __init__(
        self, teacher: TeacherShape, student: StudentShape, *, temperature: float = 2.0
    ) -> None:
        super().__init__(teacher, student)
        self.temperature = check_temperature(temperature)

    def forward(
        self,
        student: Outputs,
        teacher: Outputs,
        *,
        mask: torch.Tensor,
        labels: torch.Tensor | None,
    ) -> torch.Tensor:
        return soft_label_loss(
            required(student.logits), required(teacher.logits), temperature=self.temperature
        )


@distillation_losses.register("hard_labels")
class HardLabelLoss(DistillationLoss):
    """Cross-entropy with the true labels: ``-log softmax(z_student)[label]``, the texts' mean."""

    needs_labels = True

    def forward(
        self,
        student: Outputs,
        teacher: Outputs,
        *,
        mask: torch.Tensor,
        labels: torch.Tensor | None,
    ) -> torch.Tensor:
        return functional.cross_entropy(required(student.logits).float(), required(labels))


def token_shares(mask: torch.Tensor) -> torch.Tensor:
    """What each token weighs in a mean over the tokens of a text, and over texts.

    Texts count alike, whatever their length; the loss of one without tokens is 0. So a batch's loss
    is the mean of its texts' losses, however the batch is divided.

    Args:
        mask: bool ``(batch, length)``, true at real tokens.

    Returns:
        float32 ``(batch, length)``; zero at padding, of sum 1 where every text has tokens.
    """
    real = mask.float()
    return real / (real.sum(dim=1, keepdim=True).clamp(min=1) * len(mask))


def check_temperature(temperature: float) -> float:
    """The temperature, if it is one.

    Raises:
        ValueError: It is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature={temperature!r}: expected a number above 0.")
    return temperature


def required(tensor: torch.Tensor | None) -> torch.Tensor:
    """A tensor that a loss declared it needs.

    Raises:
        RuntimeError: It is not there: the loss reads what its ``needs`` does not name.
    """
    if tensor is None:
        raise RuntimeError("A loss reads outputs or labels that its class attributes do not name.")
    return tensor
