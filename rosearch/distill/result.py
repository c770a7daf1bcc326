"""The record of one distillation."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

from rosearch.distill.training.checkpoints import Epoch
from rosearch.student import StudentForSequenceClassification

_COSTS = (
    "perturbed_texts",
    "augmentation_seconds",
    "attack_seconds",
    "teacher_seconds",
    "training_seconds",
)


@dataclass(frozen=True)
class DistillationResult:
    """A trained student and the record of its training."""

    student: StudentForSequenceClassification = field(repr=False)
    """The student in eval mode, with the weights of its best epoch and the teacher's tokenizer."""

    best: Epoch
    """The epoch whose weights the student has."""

    seconds: float
    """Wall time of initialisation and training."""

    history: tuple[Epoch, ...]
    """One record per epoch."""

    @property
    def accuracy(self) -> float:
        """Accuracy on dev at the best epoch."""
        return self.best.accuracy

    def warn_if_plain(self, *, owner: str) -> None:
        """Warn where no epoch of robust training was better than a constant classifier.

        Args:
            owner: What the student is called, for the message.
        """
        if not self.best.counted and any(epoch.counted for epoch in self.history):
            warnings.warn(
                f"{owner} is that of epoch {self.best.number}, before robust training is in full "
                f"effect, because no later one is clearly more accurate than always answering the "
                f"most frequent class. Train longer, or with less weight on perturbed texts.",
                UserWarning,
                stacklevel=3,
            )

    @property
    def cost(self) -> dict[str, float]:
        """The cost of robust distillation, summed over all epochs.

        Returns:
            ``perturbed_texts``, the number of texts trained on beside the training texts;
            ``augmentation_seconds``, ``attack_seconds`` and ``teacher_seconds`` for making them and
            their teacher outputs; ``training_seconds``, the rest of the epochs.
        """
        return {name: float(sum(getattr(epoch, name) for epoch in self.history)) for name in _COSTS}
