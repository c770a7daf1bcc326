"""What one operator costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from rosearch.errors import GenomeError
from rosearch.operators import kernels
from rosearch.operators.base import Operator, Value, complete, require


@dataclass(frozen=True)
class OperatorCost:
    """Size and work of one operator."""

    parameters: int
    """Trained values."""

    flops_per_token: float
    """Floating-point operations of a forward pass over a text, divided by its tokens."""


def cost(name: str, width: int, *, length: int = 32, **parameters: Value) -> OperatorCost:
    """What an operator costs, measured on one text on the CPU; the same on every machine.

    FLOPs are torch's count of matrix products, convolutions and attention, of which a
    multiplication and an addition are two. Element-wise work does not count, and neither does what
    an operator sums element by element: the windows of pooling and dynamic convolution, the
    scan of a minimal recurrence.

    Args:
        name: A registered operator.
        width: Channels.
        length: Tokens in the text.
        parameters: The operator's, with its defaults for those left out.

    Raises:
        RegistryError: No operator has that name.
        GenomeError: A parameter is unknown or no choice, or it does not fit the width.
        ValueError: The length is below 1.
    """
    if length < 1:
        raise ValueError(f"length must be at least 1, not {length}.")
    operator_class: type[Operator] = require(name, Operator)
    values = complete(name, parameters)
    complaint = operator_class.complaint(width, values)
    if complaint is not None:
        raise GenomeError(f"The operator {name!r} does not fit: {complaint}.")
    return _measure(operator_class, width, length, tuple(values.items()))


def _layer_flops(
    hidden: Sequence[int], from_input: Sequence[int], from_state: Sequence[int], *_: Any, **__: Any
) -> int:
    """Of oneDNN's recurrent layer, which torch's counter does not know; arguments are shapes."""
    tokens = hidden[0] * hidden[1]
    return 2 * tokens * (math.prod(from_input) + math.prod(from_state))


def counted_flops(run: Callable[[], object]) -> int:
    """Floating-point operations of a call, by torch's counter.

    Args:
        run: Called once, without gradients and with attention by its definition: the counter knows
            no fused kernels.
    """
    from torch.utils.flop_counter import FlopCounterMode  # it imports Triton, where that is

    mapping: dict[Any, Any] = {torch.ops.aten.mkldnn_rnn_layer: _layer_flops}
    with (
        torch.no_grad(),
        kernels.use("torch"),
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False, custom_mapping=mapping) as counter,
    ):
        run()
    return int(counter.get_total_flops())


# By class, not by name: a plug-in may be registered again with another class.
@lru_cache(maxsize=4096)
def _measure(
    operator_class: type[Operator], width: int, length: int, values: tuple[tuple[str, Value], ...]
) -> OperatorCost:
    # On the CPU: the meta device takes element-wise work apart in Python, many times as slowly.
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        operator = operator_class(width, **dict(values)).eval()
        hidden, mask = torch.zeros(1, length, width), torch.ones(1, length, dtype=torch.bool)
    return OperatorCost(
        parameters=sum(p.numel() for p in operator.parameters()),
        flops_per_token=counted_flops(lambda: operator(hidden, mask)) / length,
    )
