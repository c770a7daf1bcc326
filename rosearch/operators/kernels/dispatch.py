"""Choice of the backend that computes a call: PyTorch, or a Triton kernel."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

import torch

from rosearch.checks import choice
from rosearch.errors import KernelError
from rosearch.operators.kernels import launch, reference

P = ParamSpec("P")
R = TypeVar("R")

BACKENDS = ("auto", "torch", "triton")
"""``auto`` takes Triton for tensors on a CUDA device where it can run, PyTorch otherwise."""

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
"""Dtypes of the Triton kernels' inputs and outputs; they sum in float32."""

_asked: ContextVar[str] = ContextVar("rosearch_kernels", default="auto")
_obstacles: dict[Callable[..., Any], Callable[..., Iterator[str]]] = {}


@contextmanager
def use(name: str) -> Iterator[None]:
    """Select a backend within a ``with`` block, or a function decorated with ``use(name)``.

    It holds for the current thread or task only. ``torch`` makes runs comparable with those on
    machines without Triton; ``triton`` raises an error where Triton cannot compute a call. A graph
    recorded by torch.compile, torch.export or a tracer holds PyTorch's operations in any case:
    Inductor fuses them itself, and exported graphs must run without Triton.

    Args:
        name: One of :data:`BACKENDS`.

    Raises:
        ArgumentError: The backend is unknown.
        KernelError: From calls within the block, where ``triton`` was selected and cannot run.
    """
    token = _asked.set(choice("the backend", name, BACKENDS))
    try:
        yield
    finally:
        _asked.reset(token)


def why_not(function: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> tuple[str, ...]:
    """Return all reasons why Triton cannot compute ``function(*args, **kwargs)``; empty if it can.

    Args:
        function: ``merge_normalize``, ``depthwise_convolution`` or ``gated_activation``.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
    """
    return tuple(_obstacles[function](*args, **kwargs))


def _dispatched(
    function: Callable[P, R], module: str, obstacles: Callable[P, Iterator[str]]
) -> Callable[P, R]:
    """Return ``function`` or, where nothing prevents it, the Triton function of that name."""
    name = f"rosearch.operators.kernels.{module}"

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        # Checked first: Dynamo cannot trace a ContextVar, and leaves the rest out of its graph.
        asked = "torch" if torch.compiler.is_compiling() else _asked.get()
        # A call on a CPU may take no more than microseconds, so decide that case before others.
        on_cpu = asked == "auto" and any(getattr(x, "is_cuda", None) is False for x in args)
        found = () if asked == "torch" or on_cpu else tuple(obstacles(*args, **kwargs))
        if asked == "triton" and found:
            reasons = "".join(f"\n- {reason}" for reason in found)
            raise KernelError(
                f"kernels.use('triton') is active, but Triton cannot compute this call:{reasons}\n"
                f"Fix these, or select another backend: kernels.use('auto') or "
                f"kernels.use('torch')."
            )
        if asked == "torch" or on_cpu or found:
            return function(*args, **kwargs)
        kernel: Callable[P, R] = getattr(importlib.import_module(name), function.__name__)
        return kernel(*args, **kwargs)

    _obstacles[call] = obstacles
    return call


@functools.cache
def triton_problem() -> str | None:
    """Return why Triton cannot be imported, or ``None``."""
    try:
        importlib.import_module("triton")
    except ImportError as error:
        return f"Triton cannot be imported ({error}): pip install triton. PyTorch for CUDA has it."
    return None


def _common(first: torch.Tensor, *others: torch.Tensor | None) -> Iterator[str]:
    """Yield what prevents any kernel; ``first`` determines dtype and device."""
    device = first.device
    # Only on request: Triton's interpreter is thousands of times slower than PyTorch.
    interpreted = _asked.get() != "auto" and os.environ.get("TRITON_INTERPRET") == "1"
    if device.type != "cuda" and not (device.type == "cpu" and interpreted):
        yield f"the tensors are on the device {str(device)!r}; expected a CUDA device."
    problem = triton_problem()
    if problem is not None:
        yield problem
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined]
        yield "the call is being traced, and traced graphs hold PyTorch's operations only."
    if device.type in ("cpu", "cuda") and torch.is_autocast_enabled(device.type):
        yield "autocast is on; it chooses dtypes for PyTorch's operations, not for kernels."
    if first.dtype not in DTYPES:
        yield f"the dtype is {first.dtype}; expected one of {', '.join(map(str, DTYPES))}."
    tensors = [first, *(x for x in others if x is not None)]
    if any(x.dtype != first.dtype for x in tensors):
        yield f"dtypes differ: {', '.join(str(x.dtype) for x in tensors)}; expected one for all."
    if any(x.device != device for x in tensors):
        yield f"devices differ: {', '.join(str(x.device) for x in tensors)}; expected one for all."
    # FakeTensor and other subclasses hold no memory that a kernel could read.
    odd = [type(x).__name__ for x in tensors if type(x) not in (torch.Tensor, torch.nn.Parameter)]
    if odd:
        yield f"there are tensors of the class {odd[0]}; expected torch.Tensor."


# The arguments of the next three are those of the functions in reference.


def _merge_obstacles(
    inputs: Sequence[torch.Tensor], weight: torch.Tensor, bias: torch.Tensor, **_: float
) -> Iterator[str]:
    yield from _common(weight, bias, *inputs)
    width = weight.shape[0]
    if not 1 <= width <= launch.MAX_WIDTH:
        yield f"the width is {width}; a row is kept in registers, so 1 to {launch.MAX_WIDTH}."
    if len(inputs) > launch.MAX_INPUTS:
        yield f"there are {len(inputs)} inputs; expected at most {launch.MAX_INPUTS}."
    shapes = {tuple(x.shape) for x in inputs}
    if len(shapes) > 1 or any(shape[-1:] != (width,) for shape in shapes):
        yield f"inputs are of the shapes {sorted(shapes)}; expected one shape (..., {width})."


def _depthwise_obstacles(
    hidden: torch.Tensor,
    mask: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    *,
    activation: str = "none",
) -> Iterator[str]:
    yield from _common(hidden, weight, bias)
    if hidden.ndim != 3 or weight.ndim != 2 or weight.shape[0] != hidden.shape[-1]:
        shapes = f"{tuple(hidden.shape)} and {tuple(weight.shape)}"
        yield f"the shapes are {shapes}; expected (batch, length, width) and (width, kernel size)."
    size = weight.shape[-1]
    if size % 2 == 0 or size > launch.MAX_KERNEL_SIZE:
        yield f"the kernel size is {size}; expected an odd one up to {launch.MAX_KERNEL_SIZE}."
    if mask is not None:
        expected = tuple(hidden.shape[:2])
        if mask.dtype != torch.bool or mask.shape != expected:
            yield f"the mask is {mask.dtype} {tuple(mask.shape)}; expected torch.bool {expected}."
        if mask.device != hidden.device:
            yield f"the mask is on {str(mask.device)!r}; expected {str(hidden.device)!r}."
    if activation not in reference.ACTIVATIONS:
        yield f"activation={activation!r}; expected one of {', '.join(reference.ACTIVATIONS)}."


def _gate_obstacles(hidden: torch.Tensor, *, gate: str = "sigmoid") -> Iterator[str]:
    yield from _common(hidden)
    if hidden.ndim < 1 or hidden.shape[-1] % 2:
        yield f"the shape is {tuple(hidden.shape)}; expected an even last dimension."
    if gate not in reference.GATES:
        yield f"gate={gate!r}; expected one of {', '.join(reference.GATES)}."


merge_normalize = _dispatched(reference.merge_normalize, "merge_norm", _merge_obstacles)
depthwise_convolution = _dispatched(
    reference.depthwise_convolution, "depthwise", _depthwise_obstacles
)
gated_activation = _dispatched(reference.gated_activation, "gated", _gate_obstacles)
