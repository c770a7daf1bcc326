"""What all kernels need before they start: limits, layouts, block sizes, the right device."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

WIDEST = 8192
"""Most channels of merge-and-normalise: a row stays in registers, 16 float32 values a thread of
16 warps in each of its copies."""

MOST_INPUTS = 8
"""Most tensors that merge-and-normalise sums; each is an argument of its kernel."""

LARGEST_KERNEL = 31
"""Most tokens under a depthwise kernel: its backward pass writes a row of sums a tile for each."""


def rows(tensor: torch.Tensor) -> torch.Tensor:
    """``tensor`` as ``(rows, channels)`` with neighbouring channels side by side in memory.

    A view where there is one. What has another layout is copied: one copy costs less than a kernel
    whose threads each read a memory line of their own.
    """
    flat = tensor.reshape(-1, tensor.shape[-1])
    return flat if flat.stride(-1) == 1 or flat.shape[-1] == 1 else flat.contiguous()


def power_of_two(number: int) -> int:
    """The least power of two that is no less than ``number``; Triton's blocks are such."""
    return 1 << max(0, number - 1).bit_length()


def warps(elements: int) -> int:
    """How many warps a block of that many elements gets: 16 elements a thread, 4 to 16 warps.

    Then a float32 copy of a block is 16 registers a thread, and a handful of copies fit.
    """
    return min(16, max(4, elements // 512))


def on_device_of(tensor: torch.Tensor) -> AbstractContextManager[object]:
    """Triton starts kernels on the current device, which may be another one than the tensor's."""
    if tensor.is_cuda and tensor.device.index != torch.cuda.current_device():
        return torch.cuda.device(tensor.device)
    return nullcontext()
