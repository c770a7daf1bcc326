"""Parameters and FLOPs of one operator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from rosearch.checks import whole_number
from rosearch.errors import GenomeError
from rosearch.operators import kernels
from rosearch.operators.base import Operator, complete, require
from rosearch.parameters import Value


@dataclass(frozen=True)
class OperatorCost:
    """Size and work of one operator."""

    parameters: int
    """Number of trained values."""

    flops_per_token: float
    """Floating-point operations of a forward pass over a text, divided by its tokens."""


def cost(name: str, width: int, *, length: int = 32, **parameters: Value) -> OperatorCost:
    """Measure parameters and FLOPs of an operator on the CPU; equal on every machine.

    FLOPs are torch's count of matrix products, convolutions and attention; a multiplication and
    an addition are two. Element-wise work is not counted, which includes the windows of pooling and
    dynamic convolution and the scan of a minimal GRU.

    Args:
        name: Name of a registered operator.
        width: Channels.
        length: Tokens in the text.
        parameters: Parameters of the operator; others have their default values.

    Raises:
        RegistryError: The operator is unknown.
        GenomeError: A parameter is unknown, its value is not among the operator's choices, or it
            does not fit the width.
        ArgumentError: ``length`` is below 1.
    """
    whole_number("length", length)
    operator_class: type[Operator] = require(name, Operator)
    values = complete(name, parameters)
    complaint = operator_class.complaint(width, values)
    if complaint is not None:
        raise GenomeError(f"The operator {name!r} does not fit: {complaint}.")
    return _measure(operator_class, width, length, tuple(values.items()))


def _layer_flops(
    hidden: Sequence[int], from_input: Sequence[int], from_state: Sequence[int], *_: Any, **__: Any
) -> int:
    """Count oneDNN's recurrent layer, unknown to torch's counter; the arguments are shapes."""
    tokens = hidden[0] * hidden[1]
    return 2 * tokens * (math.prod(from_input) + math.prod(from_state))


def counted_flops(run: Callable[[], object]) -> int:
    """Count the floating-point operations of ``run()`` by torch's counter.

    Gradients are off, and attention is computed by its definition, because the counter does not
    know fused kernels.
    """
    from torch.utils.flop_counter import FlopCounterMode  # imports Triton, where it is installed

    mapping: dict[Any, Any] = {torch.ops.aten.mkldnn_rnn_layer: _layer_flops}
    with (
        torch.no_grad(),
        kernels.use("torch"),
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False, custom_mapping=mapping) as counter,
    ):
        run()
    return int(counter.get_total_flops())


# By class, because a plug-in may be registered again with another class.
@lru_cache(maxsize=4096)
def _measure(
    operator_class: type[Operator], width: int, length: int, values: tuple[tuple[str, Value], ...]
) -> OperatorCost:
    # On the CPU: the meta device decomposes element-wise work in Python, which is much slower.
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        operator = operator_class(width, **dict(values)).eval()
        hidden, mask = torch.zeros(1, length, width), torch.ones(1, length, dtype=torch.bool)
    return OperatorCost(
        parameters=sum(p.numel() for p in operator.parameters()),
        flops_per_token=counted_flops(lambda: operator(hidden, mask)) / length,
    )
