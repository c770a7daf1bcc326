"""Objectives that fail, for tests of the training loop."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from rosearch.distill.losses import HardLabels


class Limited(HardLabels):
    """Runs out of memory above some rows, and remembers how many it was given."""

    def __init__(self, labels: np.ndarray, *, most: int, error: BaseException) -> None:
        super().__init__(labels)
        self.most = most
        self.error = error
        self.sizes: list[int] = []

    def forward(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], rows: np.ndarray
    ) -> torch.Tensor:
        self.sizes.append(len(rows))
        loss = super().forward(model, inputs, rows)
        if len(rows) > self.most:
            raise self.error
        return loss


class Exploding(HardLabels):
    """Loses its head at one of its calls."""

    def __init__(self, labels: np.ndarray, *, at: int, value: float) -> None:
        super().__init__(labels)
        self.at = at
        self.value = value
        self.calls = 0

    def forward(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], rows: np.ndarray
    ) -> torch.Tensor:
        self.calls += 1
        loss = super().forward(model, inputs, rows)
        return loss * self.value if self.calls == self.at else loss


def close(a: nn.Module, b: nn.Module) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return all(torch.allclose(first[k], second[k], atol=2e-3) for k in first)
