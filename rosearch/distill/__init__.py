"""Distillation: teacher outputs, losses, the training loop, and robust training."""

from rosearch.distill.distiller import Distiller
from rosearch.distill.losses import (
    DistillationLoss,
    Outputs,
    StudentShape,
    TeacherShape,
    Wanted,
    distillation_losses,
    soft_label_loss,
)
from rosearch.distill.result import DistillationResult
from rosearch.distill.robust.freelb import EmbeddingPerturbation
from rosearch.distill.robust.perturbed_texts import Adversary, Augmentation
from rosearch.distill.robust.unigram_noise import UnigramNoise
from rosearch.distill.robust.word_perturbation import Replacements, WordPerturbation
from rosearch.distill.robust.worst_case import WorstCase
from rosearch.distill.teacher.outputs import TeacherOutputs
from rosearch.distill.teacher.teacher import Teacher
from rosearch.distill.training.checkpoints import Epoch
from rosearch.distill.training.loop import fit
from rosearch.distill.training.settings import Optimization
from rosearch.tokens import WordChoices

__all__ = [
    "Adversary",
    "Augmentation",
    "WordChoices",
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
    "UnigramNoise",
    "Wanted",
    "WordPerturbation",
    "WorstCase",
    "distillation_losses",
    "fit",
    "soft_label_loss",
]
