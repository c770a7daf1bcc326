"""Victims as TextAttack's model wrappers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rosearch.attack.testing import hashing_classifier
from rosearch.attack.textattack import wrapper
from rosearch.errors import EvaluationError
from tests.attack.textattack.attacks import SENTENCES

# TextAttack warns at the first use of a model that it does not know.
pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method:DeprecationWarning")


@pytest.mark.parametrize("classes", [2, 5, 300])
def test_probabilities_are_not_taken_for_logits(textattack: Any, classes: int) -> None:
    """TextAttack applies softmax where the sum of a row is off by more than 1e-6."""
    from textattack.goal_functions import UntargetedClassification
    from textattack.shared import AttackedText

    def rough(texts: list[str]) -> np.ndarray:
        shares = hashing_classifier(texts, classes)
        return (shares * np.linspace(1 - 3e-5, 1 + 3e-5, len(texts))[:, None]).astype(np.float32)

    texts = [*SENTENCES, *(f"{text} And so on." for text in SENTENCES)]
    goal = UntargetedClassification(wrapper(rough))
    goal.init_attack_example(AttackedText(texts[0]), 0)
    results, _ = goal.get_results([AttackedText(text) for text in texts])
    given = np.stack([np.asarray(result.raw_output) for result in results])
    np.testing.assert_allclose(given, hashing_classifier(texts, classes), rtol=1e-4)


def test_pairs_and_nan(textattack: Any) -> None:
    pairs = [("a", "fine film"), ("a", "dull film")]
    given = wrapper(hashing_classifier)(pairs)
    np.testing.assert_allclose(given.numpy(), hashing_classifier(pairs), rtol=1e-6)
    assert given.dtype is torch.float32
    with pytest.raises(EvaluationError, match="NaN for 'a'"):
        wrapper(lambda texts: np.full((len(texts), 2), np.nan))(["a"])
