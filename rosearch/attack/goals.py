"""What an attack wants of the victim."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from rosearch.attack.base import Answer
from rosearch.attack.settings import Part, check_whole
from rosearch.errors import DataError


class Goal(Part, ABC):
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


class Untargeted(Goal):
    """Any class but the true one; the score is one minus the true class's probability.

    In float32 throughout, as TextAttack's ``UntargetedClassification``, so that ties fall alike.
    """

    name = "untargeted"

    def judge(self, probabilities: np.ndarray, label: int) -> Answer:
        scores = np.float32(1) - probabilities[:, label]
        return Answer(scores, probabilities.argmax(axis=1) != label)


class Targeted(Goal):
    """One class in particular; the score is its probability.

    Its score is that of TextAttack's ``TargetedClassification``. Examples that the victim gives
    this class already are skipped, and so are those that it gets wrong otherwise, which TextAttack
    attacks: rates are about accuracy here.

    Args:
        target: The class wanted, from 0.

    Raises:
        DataError: ``target`` is no whole number from 0.
    """

    name = "targeted"

    def __init__(self, target: int) -> None:
        self.target = check_whole("target", target, least=0)

    def judge(self, probabilities: np.ndarray, label: int) -> Answer:
        if self.target >= probabilities.shape[1] > 0:
            raise DataError(
                f"The goal is class {self.target}, and the victim tells "
                f"{probabilities.shape[1]} classes apart: 0 to {probabilities.shape[1] - 1}."
            )
        return Answer(probabilities[:, self.target], probabilities.argmax(axis=1) == self.target)
