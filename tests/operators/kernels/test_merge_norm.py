"""Merge-and-normalize by Triton against the reference in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rosearch.operators import kernels
from rosearch.operators.kernels import launch, reference
from tests.operators.kernels.comparison import (
    DTYPES,
    agree,
    few,
    random,
)


def check_merge(
    shape: tuple[int, ...], count: int, scale: float, dtype: torch.dtype, device: torch.device
) -> None:
    tensors = [random(*shape, dtype=dtype, device=device, seed=k) for k in range(count)]
    weight = random(shape[-1], dtype=dtype, device=device, seed=98)
    bias = random(shape[-1], dtype=dtype, device=device, seed=99)
    agree(
        lambda w, b, *x: kernels.merge_normalize(x, w, b, scale=scale),
        lambda w, b, *x: reference.merge_normalize(x, w, b, scale=scale),
        [weight, bias, *tensors],
    )


@few
@given(
    rows=st.lists(st.integers(1, 9), min_size=0, max_size=3),
    width=st.integers(2, 300),
    count=st.integers(1, launch.MAX_INPUTS),
    scale=st.sampled_from([1.0, 0.5, 1 / 3]),
    dtype=st.sampled_from(DTYPES),
)
def test_merge_normalize(place, rows, width, count, scale, dtype):
    check_merge((*rows, width), count, scale, dtype, place)


@pytest.mark.parametrize("width", [2049, launch.MAX_WIDTH])
def test_merge_normalize_of_wide_rows(place, width):
    check_merge((3, width), 2, 0.5, torch.float32, place)


def test_merge_normalize_of_many_rows(place):
    # More tiles than partial sums, and a last tile that is not full.
    check_merge((203, 130), 2, 1.0, torch.float32, place)


def test_merge_normalize_of_rows_far_from_zero(place):
    # Where a variance from raw moments would cancel; shared with no other row.
    hidden = 1000 + random(4, 64, dtype=torch.float32, device=place)
    weight, bias = torch.ones(64, device=place), torch.zeros(64, device=place)
    truth = reference.merge_normalize([hidden.double()], weight.double(), bias.double())[1]
    with kernels.use("triton"):
        found = kernels.merge_normalize([hidden], weight, bias)[1]
    assert torch.allclose(found.double(), truth, atol=1e-3)


@pytest.mark.parametrize("output", [0, 1])
def test_gradients_if_only_one_output_is_used(place, output):
    x, y = (random(5, 12, dtype=torch.float32, device=place, seed=k) for k in range(2))
    weight, bias = (random(12, dtype=torch.float32, device=place, seed=k) for k in (2, 3))

    def one(merge):
        return lambda x, y, w, b: merge([x, y], w, b, scale=0.5)[output].square().sum()

    grads = []
    for merge, name in ((reference.merge_normalize, "torch"), (kernels.merge_normalize, "triton")):
        leaves = [t.clone().requires_grad_() for t in (x, y, weight, bias)]
        with kernels.use(name):
            one(merge)(*leaves).backward()
        grads.append([t.grad for t in leaves])
    for expected, found in zip(*grads, strict=True):
        if expected is None:  # the norm's parameters, where only the sum is used
            assert found is None
        else:
            assert torch.allclose(found, expected, atol=1e-4)
