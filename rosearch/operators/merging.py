"""Merging of a node's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import nn

MERGES = ("sum", "mean", "gated")
"""Ways to merge the inputs of a node."""


class Merge(nn.Module):
    """Merge ``inputs`` tensors of shape ``(batch, length, width)`` into one.

    ``gated`` is a mean weighted, at each token, by a softmax over one learned linear score of each
    input; it starts as the plain mean. All kinds are symmetric in the inputs, and equal for a
    single input.

    Args:
        kind: One of :data:`MERGES`.
        width: Channels.
        inputs: Number of tensors.
    """

    def __init__(self, kind: str, *, width: int, inputs: int) -> None:
        super().__init__()
        self.kind = kind if inputs > 1 else "sum"
        self.scale = 1.0 / inputs if self.kind == "mean" else 1.0
        """Factor of the plain sum of the inputs; 1 for ``gated``."""
        if self.kind == "gated":
            self.scores = nn.Parameter(torch.zeros(inputs, width))

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        if self.kind == "gated":
            stacked = torch.stack(tuple(inputs))
            score = torch.einsum("kblw,kw->kbl", stacked, self.scores)
            return torch.einsum("kblw,kbl->blw", stacked, torch.softmax(score, dim=0))
        total = reduce(torch.add, inputs)
        return total * self.scale if self.kind == "mean" else total
