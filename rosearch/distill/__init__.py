"""Teacher to student: cached outputs, losses, and the training loop."""

from rosearch.distill.distiller import DistillationResult, Distiller
from rosearch.distill.losses import soft_label_loss
from rosearch.distill.teacher import Teacher
from rosearch.distill.training import Epoch, Optimization, fit

__all__ = [
    "DistillationResult",
    "Distiller",
    "Epoch",
    "Optimization",
    "Teacher",
    "fit",
    "soft_label_loss",
]
