"""Comparison of Triton kernels with the reference in float64: outputs and gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from hypothesis import HealthCheck, settings

from rosearch.operators import kernels

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
