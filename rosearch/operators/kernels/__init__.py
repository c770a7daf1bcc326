"""Fused functions that operators share: Triton kernels and their definitions in PyTorch."""

from rosearch.operators.kernels.dispatch import (
    BACKENDS,
    depthwise_convolution,
    gated_activation,
    merge_normalize,
    use,
    why_not,
)
from rosearch.operators.kernels.reference import ACTIVATIONS, GATES

__all__ = [
    "ACTIVATIONS",
    "BACKENDS",
    "GATES",
    "depthwise_convolution",
    "gated_activation",
    "merge_normalize",
    "use",
    "why_not",
]
