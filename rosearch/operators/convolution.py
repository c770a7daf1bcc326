"""Convolutions over neighbouring tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from rosearch.operators.base import Choice, Operator, registry


@registry.register("convolution")
class Convolution(Operator):
    """Convolution over ``kernel_size`` tokens, then GELU (after TextCNN, Kim 2014).

    Args:
        width: Channels.
        kernel_size: Tokens that one output sees, odd.
    """

    choices = {"kernel_size": Choice(3, 5, 7)}
    family = "convolution"
    source = "Kim 2014"

    def __init__(self, width: int, *, kernel_size: int) -> None:
        super().__init__(width)
        self.convolution = nn.Conv1d(width, width, kernel_size, padding=kernel_size // 2)

    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return functional.gelu(self.convolution(hidden.transpose(1, 2)).transpose(1, 2))

    @classmethod
    def reach(cls, parameters: Mapping[str, Any]) -> float:
        return float(parameters["kernel_size"] // 2)


@registry.register("separable_convolution")
class SeparableConvolution(Operator):
    """Depthwise convolution over ``kernel_size`` tokens, a linear map, then GELU (Chollet 2017).

    Args:
        width: Channels.
        kernel_size: Tokens that one output sees, odd.
    """

    choices = {"kernel_size": Choice(3, 5, 7)}
    family = "convolution"
    source = "Chollet 2017"

    def __init__(self, width: int, *, kernel_size: int) -> None:
        super().__init__(width)
        self.depthwise = nn.Conv1d(
            width, width, kernel_size, padding=kernel_size // 2, groups=width
        )
        self.pointwise = nn.Linear(width, width)

    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        mixed = self.depthwise(hidden.transpose(1, 2)).transpose(1, 2)
        return functional.gelu(self.pointwise(mixed))

    @classmethod
    def reach(cls, parameters: Mapping[str, Any]) -> float:
        return float(parameters["kernel_size"] // 2)
