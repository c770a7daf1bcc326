"""What all students share that read texts by one encoding."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from rosearch.distill.objective import DistillationObjective
from rosearch.distill.robust.freelb import EmbeddingPerturbation
from rosearch.distill.robust.joint_scores import JointScores
from rosearch.distill.robust.perturbed_texts import (
    Adversary,
    Augmentation,
    PerturbedTexts,
    TextSource,
)
from rosearch.distill.robust.score_files import fit_cached
from rosearch.distill.robust.word_perturbation import (
    Replacements,
    WordPerturbation,
    WordPerturbationHook,
)
from rosearch.distill.robust.worst_case import WorstCase
from rosearch.distill.student_texts import StudentTexts
from rosearch.distill.training.hooks import TrainingHook
from rosearch.operators import TokenScores
from rosearch.student import StudentForSequenceClassification
from rosearch.tokens import WordChoices

_READINGS = 4, 16
"""Fewest and most encodings whose texts are kept."""
_TEXTS = 150_000
"""Training texts that are kept in all, each in every encoding, unless that is too few encodings."""


def kept_readings(texts: int) -> int:
    """Return in how many encodings training texts are kept; a search tries each many times."""
    few, many = _READINGS
    return min(many, max(few, _TEXTS // texts))


@dataclass(frozen=True)
class RobustTraining:
    """The robust training of a Distiller's students, as its arguments of these names."""

    augmentation: Augmentation | None
    adversary: Adversary | None
    perturbation: EmbeddingPerturbation | WordPerturbation | WorstCase | None


@dataclass(eq=False)
class Reading:
    """Texts as students read them, and what is made of them once for all these students."""

    texts: StudentTexts
    robust: RobustTraining

    labels: np.ndarray | None
    """int64 ``(training texts,)``; ``None`` if no loss reads them."""

    _scores: dict[int, tuple[dict[str, torch.Tensor], float]] = field(default_factory=dict)
    """Fitted token scores and their loss, by number of scopes."""

    _kept: WordChoices | None = None
    """The replacements of the robust training, once they are needed."""

    def hooks(
        self, student: StudentForSequenceClassification, objective: DistillationObjective, seed: int
    ) -> list[TrainingHook]:
        """Return what robust training adds to the training of a student."""
        hooks: list[TrainingHook] = []
        if self.robust.augmentation is not None or self.robust.adversary is not None:
            hooks.append(PerturbedTexts(self._source, student, objective, seed))
        perturbation = self._perturbation(objective)
        if perturbation is not None:
            hooks.append(perturbation)
        settings = self.robust.perturbation
        if isinstance(settings, WorstCase) and settings.joint and student.token_scores is not None:
            choices = self._choices(settings)
            if choices is not None:
                bound = student.config.architecture.bound or 0.0
                answers = self.texts.train_logits
                hooks.append(JointScores(settings, choices, answers, bound))
        return hooks

    def fit_scores(self, scores: TokenScores) -> float:
        """Fit token scores, once for all students, and return their loss."""
        if scores.scopes not in self._scores:
            settings, texts = self.robust.perturbation, self.texts
            if not isinstance(settings, WorstCase):
                settings = WorstCase(weight=0.0)
            choices = self._choices(settings)
            vectors = texts.teacher.embedding.tokens if settings.vectors else None
            loss = fit_cached(
                settings,
                scores,
                texts.train_rows,
                texts.train_logits,
                choices,
                vectors,
                cache_dir=texts.teacher.cache_dir,
            )
            state = {name: t.clone() for name, t in scores.state_dict().items()}
            self._scores[scores.scopes] = state, loss
        state, loss = self._scores[scores.scopes]
        scores.load_state_dict(state)
        return loss

    def _choices(self, settings: WorstCase) -> WordChoices | None:
        given = settings.replacements if settings.weight else None
        return None if given is None else self._replaced(given)

    @cached_property
    def _source(self) -> TextSource:
        return TextSource(self.texts, self.labels, self.robust.augmentation, self.robust.adversary)

    def _perturbation(self, objective: DistillationObjective) -> TrainingHook | None:
        """A new one for each student."""
        perturbation = self.robust.perturbation
        if isinstance(perturbation, WorstCase):
            return None  # which is about token scores
        if not isinstance(perturbation, WordPerturbation):
            return perturbation
        return WordPerturbationHook(
            perturbation,
            self._replaced(perturbation.replacements),
            pad_id=self.texts.teacher.pad_id,
            max_length=self.texts.max_length,
            objective=objective,
        )

    def _replaced(self, replacements: Replacements) -> WordChoices:
        """The replacements in the training texts, read once."""
        if self._kept is None:
            self._kept = self.texts.choices(replacements)
        return self._kept
