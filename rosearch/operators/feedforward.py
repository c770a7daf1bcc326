"""Operators that treat every token by itself."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from rosearch.operators.base import Choice, Operator, registry


@registry.register("feed_forward")
class FeedForward(Operator):
    """Two linear maps with a GELU between them (Vaswani et al. 2017, equation 2).

    Args:
        width: Channels.
        expansion: Inner width as a multiple of ``width``.
    """

    choices = {"expansion": Choice(1, 2, 4, default=2)}

    def __init__(self, width: int, *, expansion: int) -> None:
        super().__init__(width)
        self.expand = nn.Linear(width, expansion * width)
        self.contract = nn.Linear(expansion * width, width)

    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.contract(functional.gelu(self.expand(hidden)))
        return out


@registry.register("gated_linear_unit")
class GatedLinearUnit(Operator):
    """A linear map gated by the sigmoid of another (Dauphin et al. 2017, equation 1).

    Args:
        width: Channels.
        expansion: Inner width as a multiple of ``width``.
    """

    choices = {"expansion": Choice(1, 2)}

    def __init__(self, width: int, *, expansion: int) -> None:
        super().__init__(width)
        self.expand = nn.Linear(width, 2 * expansion * width)
        self.contract = nn.Linear(expansion * width, width)

    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.contract(functional.glu(self.expand(hidden), dim=-1))
        return out


@registry.register("identity")
class Identity(Operator):
    """Passes its input on, so that a graph can skip without computing."""

    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return hidden
