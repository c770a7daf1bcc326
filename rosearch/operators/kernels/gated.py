"""The first half of the channels times the gated second half, forward and backward.

Forward, the input is read once and half as much is written. Backward keeps nothing but the input
and computes the gate again: arithmetic is cheaper than memory.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch.autograd.function import once_differentiable

from rosearch.operators.kernels.activations import activate, slope
from rosearch.operators.kernels.launch import on_device_of, power_of_two, rows

COLUMNS = 256
"""Most channels of a tile: half a kilobyte a row in 16 bits, whole memory lines."""

TILE = 2048
"""Elements of a tile: 16 a thread in 4 warps."""


@triton.jit
def _gate_forward(
    hidden,
    out,
    row_count,
    inner,
    stride,
    column_tiles,
    GATE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    tile = tl.program_id(0).to(tl.int64)
    row = (tile // column_tiles * ROWS + tl.arange(0, ROWS))[:, None]
    column = (tile % column_tiles * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    inside = (row < row_count) & (column < inner)
    at = hidden + row * stride + column
    value = tl.load(at, mask=inside, other=0.0).to(tl.float32)
    gate = tl.load(at + inner, mask=inside, other=0.0).to(tl.float32)
    result = value * activate(gate, GATE)
    tl.store(out + row * inner + column, result.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _gate_backward(
    hidden,
    grad_out,
    grad_hidden,
    row_count,
    inner,
    stride,
    grad_stride,
    column_tiles,
    GATE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    tile = tl.program_id(0).to(tl.int64)
    row = (tile // column_tiles * ROWS + tl.arange(0, ROWS))[:, None]
    column = (tile % column_tiles * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    inside = (row < row_count) & (column < inner)
    at = hidden + row * stride + column
    value = tl.load(at, mask=inside, other=0.0).to(tl.float32)
    gate = tl.load(at + inner, mask=inside, other=0.0).to(tl.float32)
    grad = tl.load(grad_out + row * grad_stride + column, mask=inside, other=0.0).to(tl.float32)
    grad_value = (grad * activate(gate, GATE)).to(grad_hidden.dtype.element_ty)
    grad_gate = (grad * value * slope(gate, GATE)).to(grad_hidden.dtype.element_ty)
    at = grad_hidden + row * (2 * inner) + column
    tl.store(at, grad_value, mask=inside)
    tl.store(at + inner, grad_gate, mask=inside)


def _grid(count: int, inner: int) -> tuple[int, int, int, int]:
    """Programs, tiles side by side, rows and columns of a tile."""
    columns = min(COLUMNS, power_of_two(inner))
    tile_rows = TILE // columns
    side_by_side = triton.cdiv(inner, columns)
    return triton.cdiv(count, tile_rows) * side_by_side, side_by_side, tile_rows, columns


def _forward(hidden: torch.Tensor, gate: str) -> torch.Tensor:
    inner = hidden.shape[-1] // 2
    out = torch.empty(*hidden.shape[:-1], inner, dtype=hidden.dtype, device=hidden.device)
    if out.numel():
        flat = rows(hidden)
        programs, side_by_side, tile_rows, columns = _grid(flat.shape[0], inner)
        with on_device_of(hidden):
            _gate_forward[(programs,)](
                flat,
                out,
                flat.shape[0],
                inner,
                flat.stride(0),
                side_by_side,
                GATE=gate,
                ROWS=tile_rows,
                COLUMNS=columns,
                num_warps=4,
            )
    return out


class _GatedActivation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, gate: str) -> torch.Tensor:
        ctx.save_for_backward(hidden)
        ctx.gate = gate
        return _forward(hidden, gate)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: torch.Tensor) -> tuple[torch.Tensor, None]:
        (hidden,) = ctx.saved_tensors
        inner = hidden.shape[-1] // 2
        grad_hidden = torch.empty(hidden.shape, dtype=hidden.dtype, device=hidden.device)
        if hidden.numel():
            flat, grad = rows(hidden), rows(grad_out)
            programs, side_by_side, tile_rows, columns = _grid(flat.shape[0], inner)
            with on_device_of(hidden):
                _gate_backward[(programs,)](
                    flat,
                    grad,
                    grad_hidden,
                    flat.shape[0],
                    inner,
                    flat.stride(0),
                    grad.stride(0),
                    side_by_side,
                    GATE=ctx.gate,
                    ROWS=tile_rows,
                    COLUMNS=columns,
                    num_warps=4,
                )
        return grad_hidden, None


def gated_activation(hidden: torch.Tensor, *, gate: str = "sigmoid") -> torch.Tensor:
    """As :func:`rosearch.operators.kernels.gated_activation`, by Triton."""
    if torch.is_grad_enabled() and hidden.requires_grad:
        out: torch.Tensor = _GatedActivation.apply(hidden, gate)
        return out
    return _forward(hidden, gate)
