"""Convolutions over neighbouring tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from rosearch.operators.base import Operator, registry
from rosearch.operators.kernels import depthwise_convolution
from rosearch.parameters import Choice

SIZES = Choice(3, 5, 7)
"""Kernel sizes in tokens."""


def convolve(hidden: torch.Tensor, layer: nn.Conv1d) -> torch.Tensor:
    """Apply ``layer`` to ``(batch, length, width)``, keeping the length.

    As a convolution over images of height one: hidden states already have its channels-last
    layout, so nothing is transposed in memory, which halves the time on a CPU.
    """
    image = hidden.transpose(1, 2).unsqueeze(2)
    (size,), (dilation,) = layer.kernel_size, layer.dilation
    weight = layer.weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
    padding = (0, dilation * (size // 2))
    out = functional.conv2d(image, weight, layer.bias, padding=padding, dilation=(1, dilation))
    return out.squeeze(2).transpose(1, 2)


def keep_variance(layer: nn.Conv1d) -> None:
    """Initialize a depthwise convolution to keep the variance of its input.

    The usual rules count all channels of a grouped convolution as connected, and so start it near
    zero.
    """
    bound = math.sqrt(3 / layer.kernel_size[0])
    nn.init.uniform_(layer.weight, -bound, bound)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class Neighbourhood(Operator):
    """Base of convolutions over ``kernel_size`` tokens around each, ``dilation`` apart."""

    choices = {"kernel_size": SIZES}
    family = "convolution"

    @classmethod
    def reach(cls, parameters: Mapping[str, Any]) -> float:
        return float(parameters["kernel_size"] // 2 * parameters.get("dilation", 1))


@registry.register("convolution")
class Convolution(Neighbourhood):
    """Convolution over neighbouring tokens, then GELU (after TextCNN, Kim 2014, equation 2).

    ``out[t] = gelu(sum_k W[k] x[t + dilation * k])``, with ``k`` from ``-(kernel_size // 2)`` to
    ``kernel_size // 2``.

    Args:
        width: Channels.
        kernel_size: Tokens in the window of an output, odd.
        dilation: Distance between them in tokens.
    """

    source = "Kim 2014, equation 2"

    def __init__(self, width: int, *, kernel_size: int, dilation: int = 1) -> None:
        super().__init__(width)
        self.convolution = nn.Conv1d(width, width, kernel_size, dilation=dilation)

    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return functional.gelu(convolve(hidden, self.convolution))


@registry.register("dilated_convolution")
class DilatedConvolution(Convolution):
    """Convolution over every ``dilation``-th token, then GELU (Yu and Koltun 2016, equation 2)."""

    choices = {"kernel_size": SIZES, "dilation": Choice(2, 4)}
    source = "Yu and Koltun 2016, equation 2"


class Depthwise(Neighbourhood):
    """Base of operators with a kernel of its own for each channel.

    Args:
        width: Channels.
        kernel_size: Tokens in the window of an output, odd.
    """

    source = "Chollet 2017, section 2"

    def __init__(self, width: int, *, kernel_size: int) -> None:
        super().__init__(width)
        self.depthwise = nn.Conv1d(width, width, kernel_size, groups=width)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        keep_variance(self.depthwise)

    def convolve(self, hidden: torch.Tensor, activation: str) -> torch.Tensor:
        """Apply the depthwise convolution and an activation, keeping the shape."""
        layer = self.depthwise
        weight = layer.weight.squeeze(1)
        return depthwise_convolution(hidden, None, weight, layer.bias, activation=activation)


@registry.register("depthwise_convolution")
class DepthwiseConvolution(Depthwise):
    """A convolution of each channel with its own kernel, then GELU (Chollet 2017, section 2)."""

    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.convolve(hidden, "gelu")


@registry.register("separable_convolution")
class SeparableConvolution(Depthwise):
    """Depthwise convolution, a linear map, then GELU (Chollet 2017, section 2)."""

    def __init__(self, width: int, *, kernel_size: int) -> None:
        super().__init__(width, kernel_size=kernel_size)
        self.pointwise = nn.Linear(width, width)

    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return functional.gelu(self.pointwise(self.convolve(hidden, "none")))
