"""Operators that treat every token by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from rosearch.operators.base import Choice, LinearEnding, Operator, registry
from rosearch.operators.kernels import gated_activation


@registry.register("feed_forward")
class FeedForward(LinearEnding):
    """Two linear maps with a GELU between them (Vaswani et al. 2017, equation 2).

    Args:
        width: Channels.
        expansion: Inner width as a multiple of ``width``.
    """

    choices = {"expansion": Choice(1, 2, 4, default=2)}
    family = "feed-forward"
    mixes_tokens = False
    source = "Vaswani et al. 2017, equation 2"
    last = "contract"

    def __init__(self, width: int, *, expansion: int) -> None:
        super().__init__(width)
        self.expand = nn.Linear(width, expansion * width)
        self.contract = nn.Linear(expansion * width, width)

    def before_last(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return functional.gelu(self.expand(hidden))

    @classmethod
    def reach(cls, parameters: Mapping[str, Any]) -> float:
        return 0.0


@registry.register("gated_linear_unit")
class GatedLinearUnit(LinearEnding):
    """A linear map gated by the sigmoid of another (Dauphin et al. 2017, equation 1).

    Args:
        width: Channels.
        expansion: Inner width as a multiple of ``width``.
    """

    choices = {"expansion": Choice(1, 2)}
    family = "feed-forward"
    mixes_tokens = False
    source = "Dauphin et al. 2017, equation 1"
    last = "contract"

    def __init__(self, width: int, *, expansion: int) -> None:
        super().__init__(width)
        self.expand = nn.Linear(width, 2 * expansion * width)
        self.contract = nn.Linear(expansion * width, width)

    def before_last(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return gated_activation(self.expand(hidden), gate="sigmoid")

    @classmethod
    def reach(cls, parameters: Mapping[str, Any]) -> float:
        return 0.0


@registry.register("gated_feed_forward")
class GatedFeedForward(LinearEnding):
    """Two linear maps with a gated unit between them: GEGLU or SwiGLU (Shazeer 2020, equation 6).

    ``W2 (gate(W x) * V x)``, with biases, which the paper leaves out.

    Args:
        width: Channels.
        expansion: Inner width as a multiple of ``width``.
        gate: ``"gelu"`` (GEGLU) or ``"silu"`` (SwiGLU).
    """

    choices = {"expansion": Choice(1, 2, 4, default=2), "gate": Choice("gelu", "silu")}
    family = "feed-forward"
    mixes_tokens = False
    source = "Shazeer 2020, equation 6"
    last = "contract"

    def __init__(self, width: int, *, expansion: int, gate: str) -> None:
        super().__init__(width)
        self.gate = gate
        self.expand = nn.Linear(width, 2 * expansion * width)
        self.contract = nn.Linear(expansion * width, width)

    def before_last(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return gated_activation(self.expand(hidden), gate=self.gate)

    @classmethod
    def reach(cls, parameters: Mapping[str, Any]) -> float:
        return 0.0


@registry.register("identity")
class Identity(Operator):
    """Passes its input on, so that a graph can skip without computing."""

    family = "identity"
    mixes_tokens = False

    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return hidden

    @classmethod
    def reach(cls, parameters: Mapping[str, Any]) -> float:
        return 0.0
