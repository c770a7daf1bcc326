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
from rosearch.operators.kernels.launch import TILE, rows

MAX_COLUMNS = 256
"""Channels of a tile: half a kilobyte a row in 16 bits, whole memory lines."""


@triton.jit
def _load_tile(hidden, row_count, inner, stride, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Row numbers ``(ROWS, 1)`` and column numbers ``(1, COLUMNS)`` of this program's tile; which
    of its elements exist, their values and gatings in float32, ``(ROWS, COLUMNS)``.
    """
    tile = tl.program_id(0).to(tl.int64)
    column_tiles = tl.cdiv(inner, COLUMNS)
    row = (tile // column_tiles * ROWS + tl.arange(0, ROWS))[:, None]
    column = (tile % column_tiles * COLUMNS + tl.arange(0, COLUMNS))[None, :]
    inside = (row < row_count) & (column < inner)
    at = hidden + row * stride + column
    value = tl.load(at, mask=inside, other=0.0).to(tl.float32)
    gate = tl.load(at + inner, mask=inside, other=0.0).to(tl.float32)
    return row, column, inside, value, gate


@triton.jit
def gate_forward(
    hidden,
    out,
    row_count,
    inner,
    stride,
    GATE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Write ``out = value * gate(gating)``.

    Tensors:
        hidden: ``(row_count, 2 * inner)``, rows ``stride`` apart: value, then gating.
        out: ``(row_count, inner)``, contiguous.
    """
    row, column, inside, value, gate = _load_tile(hidden, row_count, inner, stride, ROWS, COLUMNS)
    result = value * activate(gate, GATE)
    tl.store(out + row * inner + column, result.to(out.dtype.element_ty), mask=inside)


@triton.jit
def gate_backward(
    hidden,
    grad_out,
    grad_hidden,
    row_count,
    inner,
    stride,
    GATE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Write the gradient of the input.

    Tensors:
        hidden: ``(row_count, 2 * inner)``, rows ``stride`` apart.
        grad_out: ``(row_count, inner)``, contiguous.
        grad_hidden: ``(row_count, 2 * inner)``, contiguous.
    """
    row, column, inside, value, gate = _load_tile(hidden, row_count, inner, stride, ROWS, COLUMNS)
    grad = tl.load(grad_out + row * inner + column, mask=inside, other=0.0).to(tl.float32)
    grad_value = (grad * activate(gate, GATE)).to(grad_hidden.dtype.element_ty)
    grad_gate = (grad * value * slope(gate, GATE)).to(grad_hidden.dtype.element_ty)
    at = grad_hidden + row * (2 * inner) + column
    tl.store(at, grad_value, mask=inside)
    tl.store(at + inner, grad_gate, mask=inside)


def grid_and_tile(count: int, inner: int) -> tuple[tuple[int], dict[str, int]]:
    """Return the grid for ``(count, inner)`` outputs, and the sizes of a tile."""
    columns = min(MAX_COLUMNS, triton.next_power_of_2(inner))
    tile_rows = TILE // columns
    grid = (triton.cdiv(count, tile_rows) * triton.cdiv(inner, columns),)
    return grid, {"ROWS": tile_rows, "COLUMNS": columns, "num_warps": 4}


class _GatedActivation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, gate: str) -> torch.Tensor:
        ctx.save_for_backward(hidden)
        ctx.gate = gate
        inner = hidden.shape[-1] // 2
        out = hidden.new_empty(*hidden.shape[:-1], inner)
        if out.numel():
            flat = rows(hidden)
            grid, tile = grid_and_tile(len(flat), inner)
            with torch.cuda.device_of(hidden):
                gate_forward[grid](flat, out, len(flat), inner, flat.stride(0), GATE=gate, **tile)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: torch.Tensor) -> tuple[torch.Tensor, None]:
        (hidden,) = ctx.saved_tensors
        inner = hidden.shape[-1] // 2
        grad_hidden = hidden.new_empty(hidden.shape)
        if hidden.numel():
            flat = rows(hidden)
            tensors, sizes = (flat, grad_out.contiguous(), grad_hidden), (len(flat), inner)
            grid, tile = grid_and_tile(*sizes)
            with torch.cuda.device_of(hidden):
                gate_backward[grid](*tensors, *sizes, flat.stride(0), GATE=ctx.gate, **tile)
        return grad_hidden, None


def gated_activation(hidden: torch.Tensor, *, gate: str = "sigmoid") -> torch.Tensor:
    """As :func:`rosearch.operators.kernels.gated_activation`, by Triton."""
    out: torch.Tensor = _GatedActivation.apply(hidden, gate)
    return out
