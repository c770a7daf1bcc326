"""Texts that join the training for an epoch, as the training loop sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from rosearch.tokens import Encoding


@dataclass(frozen=True)
class Extra:
    """What joins one epoch, and what it has cost."""

    rows: Sequence[Encoding] = ()
    """Tokenised texts; the objective knows them by the numbers after the training texts'."""

    augmentation_seconds: float = 0.0
    """Wall time of the augmentation's changes."""

    attack_seconds: float = 0.0
    """Wall time of the attack."""

    teacher_seconds: float = 0.0
    """Wall time of the teacher's outputs."""

    counted: bool = True
    """Whether the epoch can be the best one."""


class Supplement(Protocol):
    """Gives each epoch its extra texts, and keeps what later epochs need."""

    def begin(self, number: int, tell: Callable[[str], object]) -> Extra:
        """Make an epoch's extra texts, and teach the objective about them.

        Args:
            number: The epoch, from 1.
            tell: Called with the name of the work that begins, for the progress bar.
        """

    def state(self) -> dict[str, torch.Tensor]:
        """What :meth:`load` needs after an interruption."""

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from what :meth:`state` gave."""
