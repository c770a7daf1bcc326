"""One call for the requests of many searches, with errors kept apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from rosearch.attack.victim.function import OutputsError
from rosearch.attack.victim.victim import Victim
from rosearch.data import Text
from rosearch.errors import EvaluationError, StorageError


def pooled(
    groups: Sequence[Sequence[Any]], compute: Callable[[list[Any]], Any]
) -> list[Any | Exception]:
    """Answer the questions of all groups by one call.

    If the call fails, each group is computed by itself, so that only the groups at fault fail.

    Args:
        groups: Questions of each group.
        compute: Returns a sequence with one answer per question.

    Returns:
        For each group its slice of the answers, or the exception it caused.
    """
    try:
        answers = compute([question for group in groups for question in group])
    except (MemoryError, torch.OutOfMemoryError, OutputsError, StorageError):
        raise
    except Exception as error:  # noqa: BLE001 - one bad text must not end the run
        if len(groups) == 1:
            return [error]
        return [answer for group in groups for answer in pooled([group], compute)]
    ends = np.cumsum([len(group) for group in groups], dtype=int).tolist()
    return [answers[end - len(group) : end] for group, end in zip(groups, ends, strict=True)]


def pooled_probabilities(
    groups: Sequence[Sequence[Text]], victim: Victim
) -> list[np.ndarray | Exception]:
    """Return the victim's probabilities for each group of texts, or the exception it caused."""
    answers = pooled(groups, victim.probabilities)
    for i, (group, answer) in enumerate(zip(groups, answers, strict=True)):
        if isinstance(answer, np.ndarray) and np.isnan(answer).any():
            text = group[int(np.isnan(answer).any(axis=1).argmax())]
            answers[i] = EvaluationError(f"The victim returns NaN for {text!r:.200}.")
    return answers
