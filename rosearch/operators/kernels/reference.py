"""What the kernels compute, in plain PyTorch: the truth that they are tested against."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "none": lambda x: x,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "relu": functional.relu,
}
"""What may follow a convolution, by name."""

GATES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "sigmoid": torch.sigmoid,
    "gelu": functional.gelu,
    "silu": functional.silu,
}
"""What may gate a unit: GLU (Dauphin et al. 2017), GEGLU and SwiGLU (Shazeer 2020)."""


def merge_normalize(
    inputs: Sequence[torch.Tensor],
    weight: torch.Tensor,
    bias: torch.Tensor,
    *,
    scale: float = 1.0,
    eps: float = 1e-5,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The scaled sum of the inputs, and its layer norm (Ba et al. 2016).

    Args:
        inputs: One or more tensors ``(..., width)`` of one shape and dtype.
        weight: ``(width,)``, multiplies the norm.
        bias: ``(width,)``, is added to it.
        scale: Multiplies the sum; one over the number of inputs gives their mean.
        eps: Added to the variance.

    Returns:
        Merged and normalised tensor, each ``(..., width)``.
    """
    merged = inputs[0]
    for other in inputs[1:]:
        merged = merged + other
    if scale != 1.0:
        merged = merged * scale
    return merged, functional.layer_norm(merged, weight.shape, weight, bias, eps)


def depthwise_convolution(
    hidden: torch.Tensor,
    mask: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    *,
    dilation: int = 1,
    activation: str = "none",
) -> torch.Tensor:
    """Each channel convolved with a kernel of its own over the tokens, then an activation.

    Args:
        hidden: ``(batch, length, width)``.
        mask: bool ``(batch, length)``, true at real tokens; others count as zero. ``None``: all.
        weight: ``(width, kernel size)``; the kernel size is odd.
        bias: ``(width,)`` or ``None``.
        dilation: Distance between the tokens that one output sees.
        activation: One of :data:`ACTIVATIONS`.

    Returns:
        ``(batch, length, width)``; of no meaning at padded positions.

    Raises:
        ValueError: There is no such activation.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"Unknown activation {activation!r}; choose one of {', '.join(ACTIVATIONS)}."
        )
    if mask is not None:
        hidden = hidden.masked_fill(~mask.unsqueeze(-1), 0.0)
    width, size = weight.shape
    # As an image of height one in the channels-last layout, nothing is transposed in memory.
    out = functional.conv2d(
        hidden.transpose(1, 2).unsqueeze(2),
        weight[:, None, None],
        bias,
        padding=(0, dilation * (size // 2)),
        dilation=(1, dilation),
        groups=width,
    )
    return ACTIVATIONS[activation](out.squeeze(2).transpose(1, 2))


def gated_activation(hidden: torch.Tensor, *, gate: str = "sigmoid") -> torch.Tensor:
    """The first half of the channels times the gated second half.

    Args:
        hidden: ``(..., 2 * inner)``.
        gate: One of :data:`GATES`.

    Returns:
        ``(..., inner)``.

    Raises:
        ValueError: There is no such gate, or the channels have no two halves.
    """
    if gate not in GATES:
        raise ValueError(f"Unknown gate {gate!r}; choose one of {', '.join(GATES)}.")
    if hidden.shape[-1] % 2:
        raise ValueError(
            f"The last dimension of {tuple(hidden.shape)} is odd; expected two halves."
        )
    value, gating = hidden.chunk(2, dim=-1)
    return value * GATES[gate](gating)
