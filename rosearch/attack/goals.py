"""Goal functions of attacks."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from rosearch.attack.base import Answer
from rosearch.attack.settings import Part
from rosearch.checks import whole_number
from rosearch.errors import DataError


class Goal(Part, ABC):
    """Base class of goal functions, which turn probabilities into scores and verdicts."""

    @abstractmethod
    def judge(self, probabilities: np.ndarray, label: int) -> Answer:
        """Score texts.

        Args:
            probabilities: float32, shape ``(texts, classes)``.
            label: True class of the attacked example.

        Returns:
            Scores (higher is closer to the goal) and whether the goal is met, shape ``(texts,)``.
        """


class Untargeted(Goal):
    """Any class but the true one; the score is one minus the true class's probability.

    Computed in float32, as TextAttack's ``UntargetedClassification``, so that ties are the same.
    """

    name = "untargeted"

    def judge(self, probabilities: np.ndarray, label: int) -> Answer:
        scores = np.float32(1) - probabilities[:, label]
        return Answer(scores, probabilities.argmax(axis=1) != label)


class Targeted(Goal):
    """A given class; the score is its probability, as TextAttack's ``TargetedClassification``.

    Examples that the victim already assigns to this class are skipped. So are examples that it
    misclassifies otherwise, which TextAttack attacks, because rates are about accuracy here.

    Args:
        target: The target class, from 0.

    Raises:
        ArgumentError: ``target`` is not a whole number from 0.
    """

    name = "targeted"

    def __init__(self, target: int) -> None:
        self.target = whole_number("target", target, 0)

    def judge(self, probabilities: np.ndarray, label: int) -> Answer:
        if self.target >= probabilities.shape[1] > 0:
            raise DataError(
                f"The target is class {self.target}, but the victim has "
                f"{probabilities.shape[1]} classes, 0 to {probabilities.shape[1] - 1}."
            )
        return Answer(probabilities[:, self.target], probabilities.argmax(axis=1) == self.target)
