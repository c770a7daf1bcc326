"""Pooling over a whole text, and operators that pool over a window of tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from rosearch.checks import choice
from rosearch.operators.base import Operator, blank, registry, unpadded
from rosearch.parameters import Choice

POOLINGS = ("mean", "max", "first", "attention")
"""Ways to pool the hidden states of a text into one vector."""


class Pool(nn.Module):
    """Pool the hidden states of a text into one vector.

    ``mean`` and ``max`` are over the real tokens, ``first`` takes the first of them. ``attention``
    is a mean weighted by a softmax over one learned linear score of each token (Lin et al. 2017,
    with one hop and no hidden layer); it starts as the plain mean. A text without tokens gives
    zeros.

    Args:
        kind: One of :data:`POOLINGS`.
        width: Channels.

    Raises:
        ArgumentError: The kind is unknown.
    """

    def __init__(self, kind: str, *, width: int) -> None:
        super().__init__()
        self.kind = choice("kind", kind, POOLINGS)
        self.linear = kind in ("mean", "first")
        """Whether token weights do not depend on values, so that pooling commutes with linear
        maps."""
        if kind == "attention":
            self.scores = nn.Parameter(torch.zeros(width))

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Pool a batch.

        Args:
            hidden: ``(batch, length, width)``, arbitrary at padded positions.
            mask: bool ``(batch, length)``, true at real tokens.

        Returns:
            ``(batch, width)``.
        """
        if self.kind == "first":
            index = mask.long().argmax(dim=1)[:, None, None].expand(-1, 1, hidden.shape[2])
            first = hidden.gather(1, index).squeeze(1)
            return first.masked_fill(~mask.any(dim=1, keepdim=True), 0.0)
        lowest = torch.finfo(hidden.dtype).min
        if self.kind == "max":
            largest = hidden.masked_fill(~mask.unsqueeze(-1), lowest).amax(dim=1)
            return largest.masked_fill(~mask.any(dim=1, keepdim=True), 0.0)
        if unpadded(mask):
            if self.kind == "mean":
                return hidden.mean(dim=1)
        else:
            hidden = blank(hidden, mask)
        if self.kind == "mean":
            return hidden.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1).to(hidden.dtype)
        scores = (hidden @ self.scores).masked_fill(~mask, lowest)
        return torch.einsum("bl,blw->bw", torch.softmax(scores, dim=1), hidden)


class Window(Operator):
    """Base of operators that pool over the ``window`` tokens around each.

    Windows slide over images of height one in the channels-last layout, so that nothing is
    transposed in memory.

    Args:
        width: Channels.
        window: Tokens in the window, odd.
    """

    choices = {"window": Choice(3, 5, 7)}
    family = "pooling"

    def __init__(self, width: int, *, window: int) -> None:
        super().__init__(width)
        self.window = window

    def slide(self, pool: Callable[..., torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        """Apply an average or maximum of torch to each window, keeping the shape."""
        out = pool(x.transpose(1, 2).unsqueeze(2), (1, self.window), 1, (0, self.window // 2))
        return out.squeeze(2).transpose(1, 2)

    @classmethod
    def reach(cls, parameters: Mapping[str, Any]) -> float:
        return float(parameters["window"] // 2)


@registry.register("average_pooling")
class AveragePooling(Window):
    """Mean of the real tokens among the ``window`` around each token."""

    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        # Both means divide by the window, so their quotient divides by the number of real tokens.
        # Without padding it is the same in every row.
        real = (mask[:1] if unpadded(mask) else mask).unsqueeze(-1).to(hidden.dtype)
        share = self.slide(functional.avg_pool2d, real).clamp(min=0.5 / self.window)
        return self.slide(functional.avg_pool2d, hidden) * share.reciprocal()


@registry.register("max_pooling")
class MaxPooling(Window):
    """Maximum of the real tokens among the ``window`` around each token, channel by channel."""

    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if not unpadded(mask):
            # Padding is zero, and becomes the lowest number of the dtype.
            lowest = torch.finfo(hidden.dtype).min
            hidden = hidden + (~mask).to(hidden.dtype).unsqueeze(-1) * lowest
        return self.slide(functional.max_pool2d, hidden)
