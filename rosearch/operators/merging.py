"""How a node joins its inputs, and how the last hidden states become one vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from rosearch.operators.base import blank, unpadded

MERGES = ("sum", "mean", "gated")
"""Ways in which a node joins several inputs."""

POOLINGS = ("mean", "max", "first", "attention")
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
        self.inputs = inputs
        if self.kind == "gated":
            self.scores = nn.Parameter(torch.zeros(inputs, width))

    @property
    def scale(self) -> float:
        """What a plain sum of the inputs is to be multiplied by; not for ``gated``."""
        return 1.0 / self.inputs if self.kind == "mean" else 1.0

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        if len(inputs) == 1:
            return inputs[0]
        if self.kind == "gated":
            stacked = torch.stack(tuple(inputs))
            score = torch.einsum("kblw,kw->kbl", stacked, self.scores)
            return torch.einsum("kblw,kbl->blw", stacked, torch.softmax(score, dim=0))
        merged = inputs[0]
        for other in inputs[1:]:
            merged = merged + other
        return merged * self.scale if self.kind == "mean" else merged


class Pool(nn.Module):
    """One vector a text from its hidden states.

    ``mean`` and ``max`` are over the real tokens, ``first`` takes the first of them. ``attention``
    is a mean weighed by a softmax over one learned linear score a token (Lin et al. 2017, with
    one hop and no hidden layer); it starts as the mean. A text without tokens becomes zeros.

    Args:
        kind: One of :data:`POOLINGS`.
        width: Channels.

    Raises:
        ValueError: There is no such kind.
    """

    def __init__(self, kind: str, *, width: int) -> None:
        super().__init__()
        if kind not in POOLINGS:
            raise ValueError(f"Unknown pooling {kind!r}; choose one of {', '.join(POOLINGS)}.")
        self.kind = kind
        if kind == "attention":
            self.scores = nn.Parameter(torch.zeros(width))

    @property
    def linear(self) -> bool:
        """Whether tokens are weighed by where they are alone, so that linear maps commute."""
        return self.kind in ("mean", "first")

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Pool a batch.

        Args:
            hidden: ``(batch, length, width)``, with any filling at padded positions.
            mask: bool ``(batch, length)``, true at real tokens.

        Returns:
            ``(batch, width)``.
        """
        if self.kind == "first":
            first = mask.long().argmax(dim=1)
            index = first[:, None, None].expand(-1, 1, hidden.shape[2])
            pooled = hidden.gather(1, index).squeeze(1)
            return pooled.masked_fill(~mask.any(dim=1, keepdim=True), 0.0)
        whole = unpadded(mask)
        if self.kind == "max":
            if whole:
                return hidden.amax(dim=1)
            lowest = torch.finfo(hidden.dtype).min
            largest = hidden.masked_fill(~mask.unsqueeze(-1), lowest).amax(dim=1)
            return largest.masked_fill(~mask.any(dim=1, keepdim=True), 0.0)
        if self.kind == "mean" and whole:
            return hidden.mean(dim=1)
        if not whole:
            hidden = blank(hidden, mask)
        if self.kind == "mean":
            return hidden.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1).to(hidden.dtype)
        scores = (hidden @ self.scores).masked_fill(~mask, torch.finfo(hidden.dtype).min)
        return torch.einsum("bl,blw->bw", torch.softmax(scores, dim=1), hidden)
