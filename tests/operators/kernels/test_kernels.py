"""Triton's kernels against the reference in float64: results and gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rosearch.operators import kernels
from rosearch.operators.kernels import launch, reference

# Relative error of a whole tensor: a few units in the last place of each format.
TOLERANCE = {torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 1.5e-2}
DTYPES = list(TOLERANCE)

few = settings(
    max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


def outputs_and_gradients(
    function: Callable[..., Any], tensors: Sequence[torch.Tensor], probes: list[torch.Tensor]
) -> list[torch.Tensor]:
    """Outputs of ``function(*tensors)``, then the gradients of their product with ``probes``.

    ``probes`` is filled in the first call; a wrong formula shows in any direction.
    """
    leaves = [x.detach().requires_grad_() for x in tensors]
    found = function(*leaves)
    outputs = list(found) if isinstance(found, tuple) else [found]
    if not probes:
        generator = torch.Generator().manual_seed(7)
        probes += [torch.randn(out.shape, generator=generator) for out in outputs]
    torch.autograd.backward(outputs, [p.to(o) for p, o in zip(probes, outputs, strict=True)])
    return [*(out.detach() for out in outputs), *(x.grad for x in leaves)]


def agree(
    function: Callable[..., Any], truth: Callable[..., Any], tensors: Sequence[torch.Tensor]
) -> None:
    """Outputs and gradients are the truth's in float64, and equal in every run."""
    probes: list[torch.Tensor] = []
    expected = outputs_and_gradients(truth, [x.double() for x in tensors], probes)
    with kernels.use("triton"):
        found = outputs_and_gradients(function, tensors, probes)
        again = outputs_and_gradients(function, tensors, probes)
    for number, (a, b, c) in enumerate(zip(expected, found, again, strict=True)):
        assert b.shape == a.shape
        assert b.dtype == tensors[0].dtype
        assert torch.equal(b, c), f"tensor {number} differs between runs"
        error = torch.linalg.vector_norm(b.double() - a)
        # Sums may cancel: at most what rounding the largest of a few terms gives.
        size = torch.linalg.vector_norm(a) + 0.05 * a.numel() ** 0.5
        assert error <= TOLERANCE[b.dtype] * size, f"tensor {number}: {error / size:.1e}"


def random(*shape: int, dtype: torch.dtype, device: torch.device, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).to(device, dtype)


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
def test_only_one_output_is_used(place, output):
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
    activation=st.sampled_from(sorted(kernels.ACTIVATIONS)),
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


def test_padding_may_hold_anything(place):
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


@few
@given(
    rows=st.lists(st.integers(1, 9), min_size=0, max_size=3),
    inner=st.integers(1, 300),
    gate=st.sampled_from(sorted(kernels.GATES)),
    dtype=st.sampled_from(DTYPES),
)
def test_gated_activation(place, rows, inner, gate, dtype):
    agree(
        lambda h: kernels.gated_activation(h, gate=gate),
        lambda h: reference.gated_activation(h, gate=gate),
        [random(*rows, 2 * inner, dtype=dtype, device=place)],
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
def test_nothing_gives_nothing(place, shape):
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


def test_a_second_derivative_is_refused(place):
    hidden = random(2, 8, dtype=torch.float32, device=place).requires_grad_()
    with kernels.use("triton"):
        out = kernels.gated_activation(hidden)
    (grad,) = torch.autograd.grad(out.square().sum(), hidden, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()
