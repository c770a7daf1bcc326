"""Convolutions against their definitions, written token by token."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tests.operators.examples import make, naive_windows, text


@pytest.mark.parametrize("name", ["depthwise_convolution", "separable_convolution"])
def test_depthwise_convolutions_agree_with_their_definition(name: str) -> None:
    operator, length = make(name, 4, kernel_size=5), 6
    hidden, mask = text(length, 4)
    weight = operator.depthwise.weight[:, 0].expand(length, 4, 5)
    mixed = naive_windows(hidden[0, :length], weight) + operator.depthwise.bias
    if name == "separable_convolution":
        mixed = operator.pointwise(mixed)
    out = operator(hidden, mask)[0, :length]
    torch.testing.assert_close(out, functional.gelu(mixed), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["convolution", "dilated_convolution"])
@pytest.mark.parametrize("size", [3, 5])
def test_convolutions_agree_with_their_definition(name: str, size: int) -> None:
    dilation = 4 if name == "dilated_convolution" else 1
    extra = {"dilation": 4} if name == "dilated_convolution" else {}
    operator, length = make(name, 6, kernel_size=size, **extra), 11
    hidden, mask = text(length, 6)
    weight, bias = operator.convolution.weight, operator.convolution.bias
    expected = bias.expand(length, 6).clone()
    for t in range(length):
        for k in range(size):
            place = t + dilation * (k - size // 2)
            if 0 <= place < length:
                expected[t] += weight[:, :, k] @ hidden[0, place]
    out = operator(hidden, mask)[0, :length]
    torch.testing.assert_close(out, functional.gelu(expected), rtol=1e-4, atol=1e-5)


def test_depthwise_convolutions_start_with_the_variance_of_their_input() -> None:
    for name in ("depthwise_convolution", "separable_convolution"):
        for size in (3, 5, 7):
            layer = make(name, 512, kernel_size=size).depthwise
            hidden = torch.randn(1, 512, 200)
            assert layer(hidden).var().item() == pytest.approx(1.0, abs=0.1)
