"""The kernels' benchmark cases: calls, what they must move and compute, and their peers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from measuring import DEVICE

from rosearch.operators import kernels
from rosearch.operators.kernels import reference


@dataclass(frozen=True)
class Case:
    """One call of a kernel and the least that it costs.

    Bytes count each tensor that must be read or written once. Backward that is: what is kept of
    the forward pass, the gradients of the outputs, the gradients of the inputs.
    """

    name: str
    function: Callable[..., Any]
    """Of ``tensors``; asks the public functions, so ``kernels.use`` decides."""
    truth: Callable[..., Any]
    """The same by the reference."""
    tensors: tuple[torch.Tensor, ...]
    forward_bytes: int
    backward_bytes: int
    flops: int
    peer: Callable[..., Any] | None = None
    """The same by Liger-Kernel, where it is installed and has it."""


def liger(module: str, name: str) -> Any:
    """``apply`` of one of Liger-Kernel's functions, or ``None``."""
    import importlib

    try:
        return getattr(importlib.import_module(f"liger_kernel.ops.{module}"), name).apply
    except (ImportError, AttributeError):
        return None


def cases(shape: tuple[int, int, int], dtype: torch.dtype) -> list[Case]:
    """All cases on a batch of that shape, ``(batch, length, width)``."""
    batch, length, width = shape
    torch.manual_seed(0)

    def random(*size: int) -> torch.Tensor:
        return torch.randn(size, device=DEVICE).to(dtype)

    hidden = [random(*shape) for _ in range(4)]
    wide = random(batch, length, 2 * width)
    weight, bias = random(width), random(width)
    lengths = torch.randint(length - length // 8, length + 1, (batch,))
    mask = (torch.arange(length) < lengths[:, None]).to(DEVICE)
    size = hidden[0].numel() * hidden[0].element_size()
    found = []

    def merge(count: int) -> Case:
        layer_norm = liger("layer_norm", "LigerLayerNormFunction") if count == 1 else None
        return Case(
            f"merge_normalize of {count}",
            lambda w, b, *x: kernels.merge_normalize(x, w, b),
            lambda w, b, *x: reference.merge_normalize(x, w, b),
            (weight, bias, *hidden[:count]),
            # One input is its own sum and is not written.
            (count + (1 if count == 1 else 2)) * size,
            4 * size,
            (count + 8) * hidden[0].numel(),
            layer_norm and (lambda w, b, x: (x, layer_norm(x, w, b, 1e-5))),
        )

    def depthwise(taps: int, activation: str) -> Case:
        kernel = random(width, taps)
        return Case(
            f"depthwise {taps} {activation}",
            lambda x, w, b: kernels.depthwise_convolution(x, mask, w, b, activation=activation),
            lambda x, w, b: reference.depthwise_convolution(x, mask, w, b, activation=activation),
            (hidden[0], kernel, bias),
            2 * size,
            # The activation's slope depends on more than the input, so it is kept too.
            (3 if activation == "none" else 4) * size,
            2 * taps * hidden[0].numel(),
        )

    def gated(gate: str) -> Case:
        fused = liger("swiglu", "LigerSiLUMulFunction") if gate == "silu" else None
        return Case(
            f"gated {gate}",
            lambda x: kernels.gated_activation(x, gate=gate),
            lambda x: reference.gated_activation(x, gate=gate),
            (wide,),
            3 * size,
            5 * size,
            8 * hidden[0].numel(),
            fused and (lambda x: fused(*reversed(x.chunk(2, dim=-1)))),
        )

    found += [merge(count) for count in (1, 2, 4)]
    found += [depthwise(3, "none"), depthwise(7, "gelu"), depthwise(31, "silu")]
    found += [gated("sigmoid"), gated("gelu"), gated("silu")]
    return found


def forward(function: Callable[..., Any], case: Case) -> Callable[[], Any]:
    """A call without gradients."""

    def run() -> Any:
        with torch.no_grad():
            return function(*case.tensors)

    return run


def forward_and_backward(function: Callable[..., Any], case: Case) -> Callable[[], Any]:
    """A call, and the gradients of all its inputs from random ones of all its outputs."""
    leaves = [x.detach().requires_grad_() for x in case.tensors]
    # The shape of outputs is asked once; a first output that is an input is left as it is.
    with torch.no_grad():
        shapes = case.truth(*case.tensors)
    outputs = shapes if isinstance(shapes, tuple) else (shapes,)
    probes = [torch.randn_like(out.contiguous()) for out in outputs]

    def run() -> Any:
        found = function(*leaves)
        found = found if isinstance(found, tuple) else (found,)
        return torch.autograd.grad(found, leaves, probes)

    return run
