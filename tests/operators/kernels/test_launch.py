"""Layouts, empty tensors and 64-bit addresses of all kernels."""

from __future__ import annotations

import pytest
import torch

from rosearch.operators import kernels
from rosearch.operators.kernels import reference
from tests.operators.kernels.comparison import (
    agree,
    outputs_and_gradients,
    random,
)


def layouts(shape: tuple[int, ...], device: torch.device) -> list[torch.Tensor]:
    """One tensor's values in several layouts: transposed, cut out, expanded."""
    last = shape[-1]
    whole = random(*shape[:-1], last + 3, dtype=torch.float32, device=device)
    transposed = random(*shape[:-2], last, shape[-2], dtype=torch.float32, device=device)
    row = random(1, 1, last, dtype=torch.float32, device=device)
    return [transposed.transpose(-1, -2), whole[..., 2:-1], row.expand(shape)]


@pytest.mark.parametrize("layout", range(3))
def test_any_layout(place, layout):
    hidden = layouts((3, 5, 12), place)[layout]
    assert not hidden.is_contiguous()
    weight, bias = (random(12, dtype=torch.float32, device=place, seed=k) for k in (2, 3))
    taps = random(3, 12, dtype=torch.float32, device=place, seed=4).t()
    mask = torch.tensor([True, True, True, False, False], device=place).expand(3, 5)
    agree(
        lambda h, w, b: kernels.merge_normalize([h], w, b),
        lambda h, w, b: reference.merge_normalize([h], w, b),
        [hidden, weight, bias],
    )
    agree(kernels.gated_activation, reference.gated_activation, [hidden])
    agree(
        lambda h, w: kernels.depthwise_convolution(h, mask, w, None),
        lambda h, w: reference.depthwise_convolution(h, mask, w, None),
        [hidden, taps],
    )
    # Gradients come in any layout too: here as an expanded number.
    leaf = hidden.detach().requires_grad_()
    with kernels.use("triton"):
        kernels.gated_activation(leaf).sum().backward()
    assert leaf.grad is not None
    (expected,) = torch.autograd.grad(reference.gated_activation(leaf).sum(), leaf)
    assert torch.allclose(leaf.grad, expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(0, 4, 6), (2, 0, 6)])
def test_empty_tensors(place, shape):
    hidden = torch.zeros(shape, device=place, requires_grad=True)
    weight, bias = torch.ones(6, device=place, requires_grad=True), torch.ones(6, device=place)
    taps = torch.ones(6, 3, device=place, requires_grad=True)
    mask = torch.ones(shape[:2], dtype=torch.bool, device=place)
    with kernels.use("triton"):
        merged, normalized = kernels.merge_normalize([hidden, hidden], weight, bias)
        convolved = kernels.depthwise_convolution(hidden, mask, taps, None)
        gated = kernels.gated_activation(hidden)
    assert merged.shape == normalized.shape == convolved.shape == shape
    assert gated.shape == (*shape[:2], 3)
    (merged.sum() + normalized.sum() + convolved.sum() + gated.sum()).backward()
    assert hidden.grad is not None
    assert hidden.grad.shape == shape
    for parameter in (weight, taps):
        assert parameter.grad is not None
        assert (parameter.grad == 0).all()


def test_addresses_beyond_32_bits(place):
    # Two rows that lie 2^31 elements apart; only the pages of these rows are ever touched.
    try:
        memory = torch.empty(2**31 + 64, dtype=torch.float16, device=place)
    except (RuntimeError, MemoryError):
        pytest.skip("cannot reserve 4.3 GB of addresses")
    far = memory.as_strided((2, 1, 16), (2**31, 16, 1))
    near = random(2, 1, 16, dtype=torch.float16, device=place)
    far.copy_(near)
    weight, bias = torch.ones(16).to(near), torch.zeros(16).to(near)
    taps = random(16, 3, dtype=torch.float16, device=place, seed=1)
    for function in (
        lambda h: kernels.merge_normalize([h, h], weight, bias)[1],
        kernels.gated_activation,
        lambda h: kernels.depthwise_convolution(h, None, taps, None),
    ):
        with kernels.use("triton"):
            a = outputs_and_gradients(function, [far], [])
            b = outputs_and_gradients(function, [near], [])
        for x, y in zip(a, b, strict=True):
            assert torch.equal(x, y)
