"""Which backend computes a call: PyTorch, or a Triton kernel."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

import torch

from rosearch.errors import KernelError
from rosearch.operators.kernels import launch, reference

P = ParamSpec("P")
R = TypeVar("R")

BACKENDS = ("auto", "torch", "triton")
"""``auto`` takes Triton for tensors on a CUDA device where it can, PyTorch otherwise."""

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
"""What the Triton kernels compute in; they sum in float32."""

_asked: ContextVar[str] = ContextVar("rosearch_kernels", default="auto")
_obstacles: dict[Callable[..., Any], Callable[..., Iterator[str]]] = {}


@contextmanager
def use(name: str) -> Iterator[None]:
    """Within a ``with`` block, or a function decorated with ``use(name)``, ask for one backend.

    It holds for the thread or task that it is used in, and for no other. ``torch`` makes runs
    comparable with those on machines without Triton; ``triton`` refuses to compute a call in any
    other way. What torch.compile, torch.export or a tracer traces is PyTorch's in any case:
    Inductor fuses these computations with their neighbours, and exported graphs run where no
    Triton is.

    Args:
        name: One of :data:`BACKENDS`.

    Raises:
        ValueError: There is no such backend.
        KernelError: In the calls within, where ``triton`` was asked for and cannot run.
    """
    if name not in BACKENDS:
        raise ValueError(f"Unknown backend {name!r}; choose one of {', '.join(BACKENDS)}.")
    token = _asked.set(name)
    try:
        yield
    finally:
        _asked.reset(token)


def backend(function: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> str:
    """What would compute ``function(*args, **kwargs)`` here and now: ``"torch"`` or ``"triton"``.

    Args:
        function: One of this package's: ``merge_normalize``, ``depthwise_convolution`` or
            ``gated_activation``.
        args: Its arguments.
        kwargs: Its arguments by name.

    Raises:
        KernelError: ``triton`` was asked for by :func:`use` and cannot run.
    """
    return "triton" if _triton(_obstacles[function], *args, **kwargs) else "torch"


def why_not(function: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> tuple[str, ...]:
    """All reasons why Triton cannot compute ``function(*args, **kwargs)``; empty where it can.

    Args:
        function: As in :func:`backend`.
        args: Its arguments.
        kwargs: Its arguments by name.
    """
    return tuple(_obstacles[function](*args, **kwargs))


def _triton(obstacles: Callable[..., Iterator[str]], *args: Any, **kwargs: Any) -> bool:
    asked = _asked.get()
    if asked == "torch":
        return False
    if asked == "auto":
        # A call on a CPU may itself take no more than microseconds, so it is told by one look.
        for x in args:
            if getattr(x, "is_cuda", None) is False:
                return False
        return next(obstacles(*args, **kwargs), None) is None
    found = tuple(obstacles(*args, **kwargs))
    if found:
        reasons = "".join(f"\n- {reason}" for reason in found)
        raise KernelError(
            f"Triton was asked for by name and cannot compute this call:{reasons}\n"
            f"Change that, or ask for another backend: kernels.use('auto') or kernels.use('torch')."
        )
    return True


def _dispatched(
    truth: Callable[P, R], module: str, obstacles: Callable[P, Iterator[str]]
) -> Callable[P, R]:
    """``truth``, or the function of that name in ``module`` where nothing is in its way."""
    name = f"rosearch.operators.kernels.{module}"

    @functools.wraps(truth)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        # Asked first: Dynamo cannot trace a ContextVar, and leaves the rest out of its graph.
        if torch.compiler.is_compiling() or not _triton(obstacles, *args, **kwargs):
            return truth(*args, **kwargs)
        kernel: Callable[P, R] = getattr(importlib.import_module(name), truth.__name__)
        return kernel(*args, **kwargs)

    _obstacles[call] = obstacles
    return call


def _interpreted() -> bool:
    """Whether Triton's own interpreter runs kernels on the CPU, as in tests."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@functools.cache
def triton_problem() -> str | None:
    """Why Triton cannot be imported."""
    try:
        importlib.import_module("triton")
    except ImportError as error:
        return (
            f"Triton cannot be imported ({error}); PyTorch's packages for CUDA on Linux bring it, "
            f"or: pip install triton."
        )
    return None


def _common(first: torch.Tensor, *others: torch.Tensor | None) -> Iterator[str]:
    """What is in the way of any kernel; ``first`` tells dtype and device."""
    device = first.device
    # The interpreter is for those who ask by name: it is thousands of times slower than PyTorch.
    by_name = device.type == "cpu" and _asked.get() != "auto" and _interpreted()
    if device.type != "cuda" and not by_name:
        yield f"the tensors are on the device {str(device)!r}; expected a CUDA device."
    broken = triton_problem()
    if broken is not None:
        yield broken
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined]
        yield "the call is being traced; what is traced holds PyTorch's operations only."
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


def _merge_obstacles(
    inputs: Sequence[torch.Tensor],
    weight: torch.Tensor,
    bias: torch.Tensor,
    *,
    scale: float = 1.0,  # noqa: ARG001  # the signature is the call's
    eps: float = 1e-5,  # noqa: ARG001
) -> Iterator[str]:
    yield from _common(weight, bias, *inputs)
    width = weight.shape[0]
    if not 1 <= width <= launch.WIDEST:
        yield f"the width is {width}; a row is kept in registers, so 1 to {launch.WIDEST}."
    if len(inputs) > launch.MOST_INPUTS:
        yield f"there are {len(inputs)} inputs; expected at most {launch.MOST_INPUTS}."
    shapes = {tuple(x.shape) for x in inputs}
    if len(shapes) > 1 or any(shape[-1:] != (width,) for shape in shapes):
        yield f"inputs are of the shapes {sorted(shapes)}; expected one shape (..., {width})."


def _depthwise_obstacles(
    hidden: torch.Tensor,
    mask: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    *,
    dilation: int = 1,
    activation: str = "none",
) -> Iterator[str]:
    yield from _common(hidden, weight, bias)
    if hidden.ndim != 3 or weight.ndim != 2 or weight.shape[0] != hidden.shape[-1]:
        shapes = f"{tuple(hidden.shape)} and {tuple(weight.shape)}"
        yield f"the shapes are {shapes}; expected (batch, length, width) and (width, kernel size)."
    size = weight.shape[-1]
    if size % 2 == 0 or size > launch.LARGEST_KERNEL:
        yield f"the kernel size is {size}; expected an odd one up to {launch.LARGEST_KERNEL}."
    if dilation < 1:
        yield f"dilation={dilation}; expected at least 1."
    if mask is not None and (mask.dtype != torch.bool or mask.shape != hidden.shape[:2]):
        yield (
            f"the mask is {mask.dtype} {tuple(mask.shape)}; "
            f"expected torch.bool {tuple(hidden.shape[:2])}."
        )
    if mask is not None and mask.device != hidden.device:
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
