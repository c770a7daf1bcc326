"""Hooks that extend the training loop: more texts for an epoch, or a perturbation of each step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from rosearch.tokens import TokenizedText


@dataclass(frozen=True)
class Extra:
    """Texts that are trained on beside the training texts in one epoch, and what they cost."""

    rows: Sequence[TokenizedText] = ()
    """The tokenised texts. The objective numbers them from the end of the training texts on."""

    augmentation_seconds: float = 0.0
    """Wall time of the augmentation."""

    attack_seconds: float = 0.0
    """Wall time of the attack."""

    teacher_seconds: float = 0.0
    """Wall time of the teacher."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Rows that are processed in one pass."""

    inputs: dict[str, torch.Tensor]
    """Keyword arguments of the model."""

    rows: Sequence[TokenizedText]
    """The same texts, tokenised."""

    numbers: np.ndarray
    """int64 ``(batch,)``, their positions among the training texts; extra texts come after."""


class Backward(Protocol):
    """One forward and backward pass."""

    def __call__(self, batch: Batch, share: float) -> torch.Tensor:
        """Add the gradient of ``share`` times the batch's mean loss; return that product."""


class TrainingHook:
    """Base class of training hooks. Each method does nothing unless a subclass overrides it."""

    def start_epoch(self, number: int, describe: Callable[[str], object]) -> Extra:
        """Return extra texts for an epoch, after making the objective aware of them.

        Args:
            number: The epoch, from 1.
            describe: Shows what is being done in the progress bar.
        """
        return Extra()

    def accumulate(
        self, model: Any, batch: Batch, share: float, *, backward: Backward, progress: float
    ) -> torch.Tensor:
        """Add the gradients of one batch, in one or several passes.

        Args:
            model: The student.
            batch: The batch.
            share: Weight of the batch in its step.
            backward: Runs one pass.
            progress: Share of the whole training that is done, 0 to 1.

        Returns:
            ``share`` times the loss, a scalar on the model's device.
        """
        return backward(batch, share)

    def counts(self, number: int, progress: float) -> bool:
        """Return whether robust training is in full effect in an epoch, so that it can be the best.

        Args:
            number: The epoch, from 1.
            progress: Share of the whole training that is done at its beginning, 0 to 1.
        """
        return True

    def state(self) -> dict[str, torch.Tensor]:
        """Return what :meth:`load` needs to resume from a checkpoint."""
        return {}

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore what :meth:`state` returned."""
