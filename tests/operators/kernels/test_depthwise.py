"""Depthwise convolution by Triton against the reference in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rosearch.operators import kernels
from rosearch.operators.kernels import reference
from tests.operators.kernels.comparison import (
    DTYPES,
    agree,
    few,
    random,
)


def check_depthwise(
    shape: tuple[int, int, int],
    size: int,
    activation: str,
    masked: bool,
    with_bias: bool,
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    hidden = random(*shape, dtype=dtype, device=device)
    weight = random(shape[-1], size, dtype=dtype, device=device, seed=1)
    bias = random(shape[-1], dtype=dtype, device=device, seed=2)
    mask = None
    if masked:
        mask = (random(*shape[:2], dtype=torch.float32, device=device, seed=3) > -0.5).to(device)

    def run(function):
        return lambda h, w, *b: function(h, mask, w, b[0] if b else None, activation=activation)

    tensors = [hidden, weight, bias] if with_bias else [hidden, weight]
    if dtype is not torch.float32:  # sums of many products of numbers around 1
        tensors[1] = tensors[1] / size**0.5
    agree(
        run(kernels.depthwise_convolution),
        run(reference.depthwise_convolution),
        tensors,
    )


@few
@given(
    batch=st.integers(1, 3),
    length=st.integers(1, 40),
    width=st.integers(1, 70),
    size=st.sampled_from([1, 3, 5, 7, 9]),
    activation=st.sampled_from(sorted(reference.ACTIVATIONS)),
    masked=st.booleans(),
    with_bias=st.booleans(),
    dtype=st.sampled_from(DTYPES),
)
def test_depthwise_convolution(
    place, batch, length, width, size, activation, masked, with_bias, dtype
):
    shape = (batch, length, width)
    check_depthwise(shape, size, activation, masked, with_bias, dtype, place)


@pytest.mark.parametrize("size", [3, 5, 7, 9, 15, 17, 31])
def test_depthwise_convolution_of_all_sizes(place, size):
    check_depthwise((1, 67, 20), size, "gelu", True, True, torch.float32, place)


def test_values_at_padded_positions_have_no_effect(place):
    hidden = random(2, 6, 8, dtype=torch.float32, device=place)
    mask = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]], device=place).bool()
    weight = random(8, 5, dtype=torch.float32, device=place, seed=1)
    spoilt = hidden.masked_fill(~mask.unsqueeze(-1), float("nan")).requires_grad_()
    with kernels.use("triton"):
        clean = kernels.depthwise_convolution(hidden, mask, weight, None)
        found = kernels.depthwise_convolution(spoilt, mask, weight, None)
        found.sum().backward()
    assert torch.equal(found, clean)
    assert spoilt.grad is not None
    assert torch.isfinite(spoilt.grad).all()
    assert (spoilt.grad[~mask] == 0).all()
