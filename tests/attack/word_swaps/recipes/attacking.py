"""Texts, victims and an evaluation for tests of recipes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rosearch.attack import RobustnessEvaluator
from rosearch.attack.testing import hashing_classifier
from rosearch.data import TextDataset

TEXTS = (
    "A gorgeously elaborate story, so huge that words cannot describe it.",
    "The film offers a breath of fresh air, and true sophistication.",
    "Effective but too tepid biopic.",
    "A dull and boring end, and a dull start.",
)


def attacked(
    attack: Any, texts: Sequence[str] = TEXTS, victim: Any = hashing_classifier, **settings: Any
) -> Any:
    """The report of an attack on all ``texts``, which are labelled by the victim."""
    labels = np.asarray(victim(list(texts))).argmax(axis=1).tolist()
    data = TextDataset(texts, labels, classes=["a", "b"])
    settings = {"examples": range(len(texts)), "progress": False, **settings}
    return RobustnessEvaluator(attack, data, **settings).evaluate(victim)


def sure(texts: Sequence[str]) -> np.ndarray:
    """A victim that always predicts class 0."""
    return np.tile([[0.9, 0.1]], (len(texts), 1))
