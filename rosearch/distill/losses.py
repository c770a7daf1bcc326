"""What a student is trained to match."""

from __future__ import annotations

import torch
from torch.nn import functional


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
    student = functional.log_softmax(student_logits / temperature, dim=-1)
    teacher = functional.log_softmax(teacher_logits / temperature, dim=-1)
    divergence = functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return divergence * temperature**2
