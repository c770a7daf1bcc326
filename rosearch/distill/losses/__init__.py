"""The losses that a student is trained with, by name."""

from rosearch.distill.losses import labels, relations, states  # noqa: F401 - registers the losses
from rosearch.distill.losses.base import (
    DistillationLoss,
    Outputs,
    StudentShape,
    TeacherShape,
    Wanted,
    distillation_losses,
)
from rosearch.distill.losses.labels import HardLabels, soft_label_loss
from rosearch.distill.losses.mix import Losses, LossMix

__all__ = [
    "DistillationLoss",
    "HardLabels",
    "LossMix",
    "Losses",
    "Outputs",
    "StudentShape",
    "TeacherShape",
    "Wanted",
    "distillation_losses",
    "soft_label_loss",
]
