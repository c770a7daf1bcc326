"""Small operators and texts, and a windowed sum written token by token."""

from __future__ import annotations

import torch

import rosearch.operators as ops
from rosearch.operators.base import Operator


def make(name: str, width: int, **parameters: object) -> Operator:
    torch.manual_seed(0)
    operator: Operator = ops.get(name)(width, **ops.complete(name, parameters)).eval()
    return operator


def text(length: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """One text in a padded batch beside a longer one."""
    torch.manual_seed(1)
    mask = torch.ones(2, length + 3, dtype=torch.bool)
    mask[0, length:] = False
    return torch.randn(2, length + 3, width), mask


def naive_windows(
    tokens: torch.Tensor, kernels: torch.Tensor, *, dilation: int = 1
) -> torch.Tensor:
    """``out[t, c] = sum_k kernels[t, c, k] * tokens[t + dilation * (k - half), c]``."""
    length, width = tokens.shape
    half = kernels.shape[2] // 2
    out = torch.zeros(length, width)
    for t in range(length):
        for k in range(kernels.shape[2]):
            place = t + dilation * (k - half)
            if 0 <= place < length:
                out[t] += kernels[t, :, k] * tokens[place]
    return out
