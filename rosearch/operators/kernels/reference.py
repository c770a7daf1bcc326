"""Plain PyTorch definitions of what the kernels compute, against which they are tested."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch.nn import functional

from rosearch.checks import refused

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "none": lambda x: x,
    "gelu": functional.gelu,
    "silu": functional.silu,
}
"""Activations after a convolution, by name."""

GATES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "sigmoid": torch.sigmoid,
    "gelu": functional.gelu,
    "silu": functional.silu,
}
"""Gates by name: GLU (Dauphin et al. 2017), GEGLU and SwiGLU (Shazeer 2020)."""


def merge_normalize(
    inputs: Sequence[torch.Tensor],
    weight: torch.Tensor,
    bias: torch.Tensor,
    *,
    scale: float = 1.0,
    eps: float = 1e-5,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the scaled sum of the inputs, and its layer norm (Ba et al. 2016).

    Args:
        inputs: One or more tensors ``(..., width)`` of one shape and dtype.
        weight: Factor of the norm, ``(width,)``.
        bias: Added to the norm, ``(width,)``.
        scale: Factor of the sum; one over the number of inputs gives their mean.
        eps: Added to the variance.

    Returns:
        Merged and normalized tensor, each ``(..., width)``.
    """
    merged = reduce(torch.add, inputs)
    if scale != 1.0:
        merged = merged * scale
    return merged, functional.layer_norm(merged, weight.shape, weight, bias, eps)


def depthwise_convolution(
    hidden: torch.Tensor,
    mask: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    *,
    activation: str = "none",
) -> torch.Tensor:
    """Convolve each channel over the tokens with its own kernel, then apply an activation.

    Args:
        hidden: ``(batch, length, width)``.
        mask: bool ``(batch, length)``, true at real tokens; others count as zero. ``None``: no
            padding.
        weight: ``(width, kernel size)``; the kernel size is odd.
        bias: ``(width,)`` or ``None``.
        activation: One of :data:`ACTIVATIONS`.

    Returns:
        ``(batch, length, width)``; undefined at padded positions.

    Raises:
        ArgumentError: The activation is unknown.
    """
    if activation not in ACTIVATIONS:
        raise refused("activation", f"one of {', '.join(ACTIVATIONS)}", activation)
    if mask is not None:
        hidden = hidden.masked_fill(~mask.unsqueeze(-1), 0.0)
    width, size = weight.shape
    # As an image of height one in the channels-last layout, nothing is transposed in memory.
    out = functional.conv2d(
        hidden.transpose(1, 2).unsqueeze(2),
        weight[:, None, None],
        bias,
        padding=(0, size // 2),
        groups=width,
    )
    return ACTIVATIONS[activation](out.squeeze(2).transpose(1, 2))


def gated_activation(hidden: torch.Tensor, *, gate: str = "sigmoid") -> torch.Tensor:
    """Multiply the first half of the channels by the gated second half.

    Args:
        hidden: ``(..., 2 * inner)``.
        gate: One of :data:`GATES`.

    Returns:
        ``(..., inner)``.

    Raises:
        ArgumentError: The gate is unknown, or the number of channels is odd.
    """
    if gate not in GATES:
        raise refused("gate", f"one of {', '.join(GATES)}", gate)
    if hidden.shape[-1] % 2:
        raise refused("the last dimension of hidden", "even", hidden.shape[-1])
    value, gating = hidden.chunk(2, dim=-1)
    return value * GATES[gate](gating)
