"""Gated activation by Triton against the reference in float64."""

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


@few
@given(
    rows=st.lists(st.integers(1, 9), min_size=0, max_size=3),
    inner=st.integers(1, 300),
    gate=st.sampled_from(sorted(reference.GATES)),
    dtype=st.sampled_from(DTYPES),
)
def test_gated_activation(place, rows, inner, gate, dtype):
    agree(
        lambda h: kernels.gated_activation(h, gate=gate),
        lambda h: reference.gated_activation(h, gate=gate),
        [random(*rows, 2 * inner, dtype=dtype, device=place)],
    )


def test_second_derivative_raises(place):
    hidden = random(2, 8, dtype=torch.float32, device=place).requires_grad_()
    with kernels.use("triton"):
        out = kernels.gated_activation(hidden)
    (grad,) = torch.autograd.grad(out.square().sum(), hidden, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()
