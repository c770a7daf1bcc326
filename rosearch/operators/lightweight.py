"""Convolutions with normalized kernels, each shared by the channels of a head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from rosearch.operators.attention import heads_complaint
from rosearch.operators.base import LinearEnding, blank, registry, unpadded
from rosearch.operators.kernels import depthwise_convolution, gated_activation
from rosearch.parameters import Choice


class SharedKernels(LinearEnding):
    """Base of convolutions with one kernel a head, before a linear map."""

    choices = {"kernel_size": Choice(3, 7, 15, default=7), "heads": Choice(4, 8, 16)}
    family = "convolution"
    last = "projection_out"

    @classmethod
    def reach(cls, parameters: Mapping[str, Any]) -> float:
        return float(parameters["kernel_size"] // 2)

    @classmethod
    def complaint(cls, width: int, parameters: Mapping[str, Any]) -> str | None:
        return heads_complaint(width, parameters["heads"])


@registry.register("lightweight_convolution")
class LightweightConvolution(SharedKernels):
    """Depthwise convolution with softmax-normalized kernels, each shared by the channels of a head
    (Wu et al. 2019, section 3), between a gated linear map and a linear map.

    ``out[t] = W_o sum_k softmax(w_h)[k] glu(W_i x)[t + k]``, without the paper's dropout of kernel
    weights.

    Args:
        width: Channels.
        kernel_size: Tokens in the window of an output, odd.
        heads: Number of kernels; divides ``width``.
    """

    source = "Wu et al. 2019, section 3"

    def __init__(self, width: int, *, kernel_size: int, heads: int) -> None:
        super().__init__(width)
        self.projection_in = nn.Linear(width, 2 * width)
        self.kernels = nn.Parameter(torch.empty(heads, kernel_size))
        self.projection_out = nn.Linear(width, width)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.kernels)

    def before_last(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        gated = gated_activation(self.projection_in(hidden))
        kernels = torch.softmax(self.kernels, dim=-1)
        weight = kernels.repeat_interleave(self.width // len(kernels), dim=0)
        return depthwise_convolution(gated, None if unpadded(mask) else mask, weight, None)


@registry.register("dynamic_convolution")
class DynamicConvolution(SharedKernels):
    """A lightweight convolution with kernels predicted from each token (Wu et al. 2019, section 4).

    ``out[t] = W_o sum_k softmax(W_q g[t])_h[k] g[t + k]`` with ``g = glu(W_i x)``, without the
    paper's dropout of kernel weights.

    Args:
        width: Channels.
        kernel_size: Tokens in the window of an output, odd.
        heads: Number of kernels for each token; divides ``width``.
    """

    source = "Wu et al. 2019, section 4"

    def __init__(self, width: int, *, kernel_size: int, heads: int) -> None:
        super().__init__(width)
        self.kernel_size = kernel_size
        self.heads = heads
        self.projection_in = nn.Linear(width, 2 * width)
        self.prediction = nn.Linear(width, heads * kernel_size, bias=False)
        self.projection_out = nn.Linear(width, width)

    def before_last(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        batch, length, width = hidden.shape
        gated = gated_activation(self.projection_in(hidden))
        if not unpadded(mask):
            gated = blank(gated, mask)
        predicted = self.prediction(gated).view(batch, length, self.heads, self.kernel_size)
        kernels = torch.softmax(predicted, dim=-1)
        half = self.kernel_size // 2
        padded = functional.pad(gated, (0, 0, half, half))
        heads = padded.view(batch, length + 2 * half, self.heads, width // self.heads)
        # One shifted view after the other: all windows side by side would take kernel_size times
        # the memory.
        mixed = heads[:, :length] * kernels[..., 0:1]
        for k in range(1, self.kernel_size):
            mixed = torch.addcmul(mixed, heads[:, k : k + length], kernels[..., k : k + 1])
        return mixed.flatten(2)
