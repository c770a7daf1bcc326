"""The losses that a student is trained with, by name."""

from rosearch.distill.losses.base import (
    DistillationLoss,
    Outputs,
    StudentShape,
    TeacherShape,
    Wanted,
    distillation_losses,
)
from rosearch.distill.losses.labels import HardLabelLoss, HardLabels, SoftLabelLoss, soft_label_loss
from rosearch.distill.losses.layers import default_layers, match_layers, node_depths
from rosearch.distill.losses.mix import Losses, LossMix
from rosearch.distill.losses.relations import RelationLoss
from rosearch.distill.losses.states import HiddenStateLoss, PooledCosineLoss

__all__ = [
    "DistillationLoss",
    "HardLabelLoss",
    "HardLabels",
    "HiddenStateLoss",
    "LossMix",
    "Losses",
    "Outputs",
    "PooledCosineLoss",
    "RelationLoss",
    "SoftLabelLoss",
    "StudentShape",
    "TeacherShape",
    "Wanted",
    "default_layers",
    "distillation_losses",
    "match_layers",
    "node_depths",
    "soft_label_loss",
]
