"""Fused computations that operators share, each with its truth in plain PyTorch."""

from rosearch.operators.kernels.reference import (
    ACTIVATIONS,
    GATES,
    depthwise_convolution,
    gated_activation,
    merge_normalize,
)

__all__ = ["ACTIVATIONS", "GATES", "depthwise_convolution", "gated_activation", "merge_normalize"]
