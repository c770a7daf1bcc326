"""What an attack wants of the victim."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from rosearch.attack.base import Answer, public_settings


class Goal(ABC):
    """Turns the victim's probabilities into scores and verdicts."""

    name: ClassVar[str]

    @abstractmethod
    def judge(self, probabilities: np.ndarray, label: int) -> Answer:
        """Score texts.

        Args:
            probabilities: float32, shape ``(texts, classes)``.
            label: True class of the example that the texts were made from.

        Returns:
            Scores (higher is closer to the goal) and whether the goal is met, shape ``(texts,)``.
        """

    @property
    def settings(self) -> Mapping[str, Any]:
        """Name and every threshold, as JSON has it."""
        return {"name": self.name, **public_settings(self)}


class Untargeted(Goal):
    """Any class but the true one; the score is one minus the true class's probability.

    In float32 throughout, as TextAttack's ``UntargetedClassification``, so that ties fall alike.
    """

    name = "untargeted"

    def judge(self, probabilities: np.ndarray, label: int) -> Answer:
        scores = np.float32(1) - probabilities[:, label]
        return Answer(scores, probabilities.argmax(axis=1) != label)
