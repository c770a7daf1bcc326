"""Teacher to student: cached outputs, losses, and the training loop."""

from rosearch.choices import Choices
from rosearch.distill.checkpoints import Epoch
from rosearch.distill.distiller import DistillationResult, Distiller
from rosearch.distill.hardening import Adversary, Augmentation
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
from rosearch.distill.perturbation import EmbeddingPerturbation
from rosearch.distill.substitution import Replacements, WordPerturbation
from rosearch.distill.teacher import Teacher
from rosearch.distill.training import fit

__all__ = [
    "Adversary",
    "Augmentation",
    "Choices",
    "DistillationLoss",
    "DistillationResult",
    "Distiller",
    "EmbeddingPerturbation",
    "Epoch",
    "Optimization",
    "Outputs",
    "Replacements",
    "StudentShape",
    "Teacher",
    "TeacherOutputs",
    "TeacherShape",
    "Wanted",
    "WordPerturbation",
    "distillation_losses",
    "fit",
    "soft_label_loss",
]
