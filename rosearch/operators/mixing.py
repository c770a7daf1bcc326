"""How a node joins its inputs, and how the last hidden states become one vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

MERGES = ("sum", "mean", "gated")
"""Ways in which a node joins several inputs."""

POOLINGS = ("mean", "max", "first")
"""Ways in which a text's hidden states become one vector."""


class Merge(nn.Module):
    """Joins ``inputs`` tensors of shape ``(batch, length, width)`` into one.

    ``sum`` and ``mean`` do what they say. ``gated`` weighs the inputs at each token by a softmax
    over one learned linear score an input; it starts as the mean. All three are
    symmetric in the inputs, and equal when there is only one.

    Args:
        kind: One of :data:`MERGES`.
        width: Channels.
        inputs: Number of tensors.
    """

    def __init__(self, kind: str, *, width: int, inputs: int) -> None:
        super().__init__()
        self.kind = kind if inputs > 1 else "sum"
        if self.kind == "gated":
            self.scores = nn.Parameter(torch.zeros(inputs, width))

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        if len(inputs) == 1:
            return inputs[0]
        stacked = torch.stack(tuple(inputs))
        if self.kind == "sum":
            return stacked.sum(dim=0)
        if self.kind == "mean":
            return stacked.mean(dim=0)
        score = torch.einsum("kblw,kw->kbl", stacked, self.scores)
        return torch.einsum("kblw,kbl->blw", stacked, torch.softmax(score, dim=0))


def pool(hidden: torch.Tensor, mask: torch.Tensor, kind: str) -> torch.Tensor:
    """One vector a text from its hidden states.

    Args:
        hidden: ``(batch, length, width)``.
        mask: bool ``(batch, length)``, true at real tokens; at least one a row.
        kind: ``"mean"`` or ``"max"`` over the real tokens, or the ``"first"`` of them.

    Returns:
        ``(batch, width)``.
    """
    if kind == "first":
        first = mask.long().argmax(dim=1)
        return hidden[torch.arange(len(hidden), device=hidden.device), first]
    outside = ~mask.unsqueeze(-1)
    if kind == "max":
        return hidden.masked_fill(outside, torch.finfo(hidden.dtype).min).amax(dim=1)
    if kind == "mean":
        count = mask.sum(dim=1, keepdim=True).to(hidden.dtype)
        return hidden.masked_fill(outside, 0.0).sum(dim=1) / count
    raise ValueError(f"Unknown pooling {kind!r}; choose one of {', '.join(POOLINGS)}.")
