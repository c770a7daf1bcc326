"""Self-attention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from rosearch.operators.base import Choice, Operator, registry, unpadded


@registry.register("attention")
class SelfAttention(Operator):
    """Multi-head scaled dot-product self-attention (Vaswani et al. 2017, equation 1).

    Args:
        width: Channels.
        heads: Number of heads; divides ``width``.
    """

    choices = {"heads": Choice(1, 2, 3, 4, 6, 8, 12, default=4)}
    family = "attention"
    source = "Vaswani et al. 2017, equation 1"

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__(width)
        self.heads = heads
        self.projection_in = nn.Linear(width, 3 * width)
        self.projection_out = nn.Linear(width, width)

    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        batch, length, width = hidden.shape
        split = self.projection_in(hidden).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        # A row without any real token would give softmax over nothing; such rows do not occur.
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=None if unpadded(mask) else mask[:, None, None, :]
        )
        out: torch.Tensor = self.projection_out(mixed.transpose(1, 2).reshape(batch, length, width))
        return out

    @classmethod
    def complaint(cls, width: int, parameters: Mapping[str, Any]) -> str | None:
        heads = parameters["heads"]
        return None if width % heads == 0 else f"{heads} heads do not divide the width {width}"
