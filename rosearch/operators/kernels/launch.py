"""Limits, memory layouts and block sizes that the Triton kernels share."""

from __future__ import annotations

import torch

MAX_WIDTH = 8192
"""Channels of merge-and-normalize: a row stays in registers, 16 float32 values a thread of
16 warps in each of its copies."""

MAX_INPUTS = 8
"""Tensors that merge-and-normalize sums; each is an argument of its kernel."""

TILE = 2048
"""Elements of a tile: 16 a thread in 4 warps."""

MAX_KERNEL_SIZE = 31
"""Tokens under a depthwise kernel: its backward pass writes a row of sums a tile for each."""


def rows(tensor: torch.Tensor) -> torch.Tensor:
    """Return ``tensor`` as ``(rows, channels)`` with a channel stride of 1.

    A view where possible. Other layouts are copied: one copy costs less than a kernel whose
    threads each read a memory line of their own.
    """
    flat = tensor.reshape(-1, tensor.shape[-1])
    return flat if flat.stride(-1) == 1 or flat.shape[-1] == 1 else flat.contiguous()


def warps(elements: int) -> int:
    """Return the number of warps for a block: 16 elements a thread, 4 to 16 warps.

    Then a float32 copy of a block is 16 registers a thread, and a handful of copies fit.
    """
    return min(16, max(4, elements // 512))


def needs_gradient(*tensors: torch.Tensor | None) -> bool:
    """Return whether autograd will differentiate a call with these tensors."""
    return torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in tensors)
