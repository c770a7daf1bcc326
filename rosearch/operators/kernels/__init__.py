"""Fused functions that operators share: Triton kernels and their definitions in PyTorch."""

from rosearch.operators.kernels.dispatch import (
    depthwise_convolution,
    gated_activation,
    merge_normalize,
    use,
    why_not,
)

__all__ = [
    "depthwise_convolution",
    "gated_activation",
    "merge_normalize",
    "use",
    "why_not",
]
