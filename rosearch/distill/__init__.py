"""Teacher to student: cached outputs, losses, and the training loop."""

from rosearch.distill.checkpoints import Epoch
from rosearch.distill.distiller import DistillationResult, Distiller
from rosearch.distill.losses import (
    DistillationLoss,
    Outputs,
    StudentShape,
    TeacherShape,
    distillation_losses,
    soft_label_loss,
)
from rosearch.distill.optimization import Optimization
from rosearch.distill.outputs import TeacherOutputs, Wanted
from rosearch.distill.teacher import Teacher
from rosearch.distill.training import fit

__all__ = [
    "DistillationLoss",
    "DistillationResult",
    "Distiller",
    "Epoch",
    "Optimization",
    "Outputs",
    "StudentShape",
    "Teacher",
    "TeacherOutputs",
    "TeacherShape",
    "Wanted",
    "distillation_losses",
    "fit",
    "soft_label_loss",
]
