"""Channel gates computed from the whole text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from rosearch.operators.base import Operator, registry
from rosearch.parameters import Choice


@registry.register("squeeze_excitation")
class SqueezeExcitation(Operator):
    """Multiply each channel by a gate computed from the mean of the real tokens (Hu et al. 2018,
    equations 2 to 4).

    ``x * sigmoid(W2 relu(W1 mean(x)))``, with biases.

    Args:
        width: Channels.
        reduction: Ratio of ``width`` to the inner width, at most ``width``.
    """

    choices = {"reduction": Choice(2, 4, 8, default=4)}
    family = "mixing"
    source = "Hu et al. 2018, equations 2 to 4"

    def __init__(self, width: int, *, reduction: int) -> None:
        super().__init__(width)
        self.squeeze = nn.Linear(width, width // reduction)
        self.excite = nn.Linear(width // reduction, width)

    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        # Padding is zero, so the sum is over the real tokens.
        count = mask.sum(dim=1, keepdim=True).clamp(min=1)
        mean = hidden.sum(dim=1) / count.to(hidden.dtype)
        gate = torch.sigmoid(self.excite(functional.relu(self.squeeze(mean))))
        return hidden * gate.unsqueeze(1)

    @classmethod
    def complaint(cls, width: int, parameters: Mapping[str, Any]) -> str | None:
        reduction = parameters["reduction"]
        return None if reduction <= width else f"the width {width} is below {reduction}"
