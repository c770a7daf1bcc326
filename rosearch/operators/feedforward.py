"""Operators that compute each token on its own."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from rosearch.operators.base import LinearEnding, Operator, registry
from rosearch.operators.kernels import gated_activation
from rosearch.parameters import Choice


class TokenWise(LinearEnding):
    """Base of feed-forward operators: expand, activate, contract.

    Args:
        width: Channels.
        expanded: Channels after the first linear map.
        inner: Channels after the activation.
    """

    family = "feed-forward"
    mixes_tokens = False
    last = "contract"

    def __init__(self, width: int, *, expanded: int, inner: int) -> None:
        super().__init__(width)
        self.expand = nn.Linear(width, expanded)
        self.contract = nn.Linear(inner, width)


@registry.register("feed_forward")
class FeedForward(TokenWise):
    """Two linear maps with a GELU between them (Vaswani et al. 2017, equation 2).

    Args:
        width: Channels.
        expansion: Inner width as a multiple of ``width``.
    """

    choices = {"expansion": Choice(1, 2, 4, default=2)}
    source = "Vaswani et al. 2017, equation 2"

    def __init__(self, width: int, *, expansion: int) -> None:
        super().__init__(width, expanded=expansion * width, inner=expansion * width)

    def before_last(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return functional.gelu(self.expand(hidden))


@registry.register("gated_linear_unit")
class GatedLinearUnit(TokenWise):
    """A linear map gated by the sigmoid of another (Dauphin et al. 2017, equation 1), and a linear
    map back to ``width``: ``W2 (sigmoid(W x) * V x)``, with biases.

    Args:
        width: Channels.
        expansion: Inner width as a multiple of ``width``.
        gate: Activation of the gate.
    """

    choices = {"expansion": Choice(1, 2)}
    source = "Dauphin et al. 2017, equation 1"

    def __init__(self, width: int, *, expansion: int, gate: str = "sigmoid") -> None:
        super().__init__(width, expanded=2 * expansion * width, inner=expansion * width)
        self.gate = gate

    def before_last(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return gated_activation(self.expand(hidden), gate=self.gate)


@registry.register("gated_feed_forward")
class GatedFeedForward(GatedLinearUnit):
    """GEGLU (``gate="gelu"``) or SwiGLU (``gate="silu"``; Shazeer 2020, equation 6), with biases,
    which the paper leaves out.
    """

    choices = {"expansion": Choice(1, 2, 4, default=2), "gate": Choice("gelu", "silu")}
    source = "Shazeer 2020, equation 6"


@registry.register("identity")
class Identity(Operator):
    """Return the input, so that a graph can have skip connections."""

    family = "identity"
    mixes_tokens = False

    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return hidden
