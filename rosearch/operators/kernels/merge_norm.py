"""The scaled sum of several tensors and its layer norm, in one pass over memory.

Forward, each input is read once and both outputs are written once. Backward, the merged tensor and
the two gradients are read once, and one gradient is written, which is that of every input. A tile
of rows stays in registers while its moments are taken, so the width has a limit,
:data:`~rosearch.operators.kernels.launch.MAX_WIDTH`.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch.autograd.function import once_differentiable

from rosearch.operators.kernels import launch
from rosearch.operators.kernels.launch import rows

MAX_PARTIAL_SUMS = 512
"""Partial sums of the gradients of weight and bias. A constant, not a property of the device, so
that sums come out the same on every one."""

MIN_ROWS = 32
"""Rows of a partial sum: its own memory traffic is then a sixteenth of the rest."""


@triton.jit
def _load(pointer, mask):
    return tl.load(pointer, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def merge_forward(
    x0,
    x1,
    x2,
    x3,
    x4,
    x5,
    x6,
    x7,
    weight,
    bias,
    merged,
    normalized,
    moments,
    row_count,
    width,
    stride,
    scale,
    eps,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """Write the scaled sum of the inputs, its layer norm and the norm's moments.

    Tensors:
        x0: ``(row_count, width)``, rows ``stride`` apart; ``x1`` to ``x7`` likewise, or ``None``.
        weight: ``(width,)``; ``bias`` likewise.
        merged: ``(row_count, width)``, contiguous; ``None`` where it is ``x0``.
        normalized: ``(row_count, width)``, contiguous.
        moments: float32 ``(2, row_count)``, means and inverse standard deviations; ``None`` for
            inference.
    """
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    real = column < width
    inside = (row < row_count)[:, None] & real[None, :]
    at = row[:, None] * stride + column[None, :]
    out_at = row[:, None] * width + column[None, :]
    total = _load(x0 + at, inside)
    if x1 is not None:
        total += _load(x1 + at, inside)
    if x2 is not None:
        total += _load(x2 + at, inside)
    if x3 is not None:
        total += _load(x3 + at, inside)
    if x4 is not None:
        total += _load(x4 + at, inside)
    if x5 is not None:
        total += _load(x5 + at, inside)
    if x6 is not None:
        total += _load(x6 + at, inside)
    if x7 is not None:
        total += _load(x7 + at, inside)
    if merged is not None:
        rounded = (total * scale).to(merged.dtype.element_ty)
        tl.store(merged + out_at, rounded, mask=inside)
        # The norm is that of the tensor that others read, and that the backward pass reads.
        total = rounded.to(tl.float32)
    mean = tl.sum(total, axis=1) / width
    centred = tl.where(real[None, :], total - mean[:, None], 0.0)
    # The two-pass variance: the difference of moments would cancel where the mean is large.
    inverse = 1.0 / tl.sqrt(tl.sum(centred * centred, axis=1) / width + eps)
    out = centred * inverse[:, None] * _load(weight + column, real)[None, :]
    out += _load(bias + column, real)[None, :]
    tl.store(normalized + out_at, out.to(normalized.dtype.element_ty), mask=inside)
    if moments is not None:
        tl.store(moments + row, mean, mask=row < row_count)
        tl.store(moments + row_count + row, inverse, mask=row < row_count)


@triton.jit
def merge_backward(
    merged,
    weight,
    moments,
    grad_merged,
    grad_normalized,
    grad_input,
    partial,
    row_count,
    width,
    stride,
    scale,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """Write the gradient of each input, and partial sums of those of weight and bias.

    Tensors:
        merged: ``(row_count, width)``, rows ``stride`` apart.
        weight: ``(width,)``.
        moments: float32 ``(2, row_count)`` of the forward pass.
        grad_merged: ``(row_count, width)``, contiguous, or ``None``.
        grad_normalized: ``(row_count, width)``, contiguous.
        grad_input: ``(row_count, width)``, contiguous.
        partial: float32 ``(programs, 2, width)``: weight, then bias.
    """
    program = tl.program_id(0)
    programs = tl.num_programs(0)
    column = tl.arange(0, WIDTH)
    real = column < width
    column_at = column[None, :]
    gain = _load(weight + column, real)[None, :]
    grad_weight = tl.zeros((ROWS, WIDTH), dtype=tl.float32)
    grad_bias = tl.zeros((ROWS, WIDTH), dtype=tl.float32)
    row = program.to(tl.int64) * ROWS + tl.arange(0, ROWS)
    for _ in range(program, tl.cdiv(row_count, ROWS), programs):
        valid = row < row_count
        inside = valid[:, None] & real[None, :]
        at = row[:, None] * width + column_at
        mean = _load(moments + row, valid)[:, None]
        inverse = _load(moments + row_count + row, valid)[:, None]
        x = _load(merged + row[:, None] * stride + column_at, inside)
        norm = tl.where(inside, (x - mean) * inverse, 0.0)
        grad = _load(grad_normalized + at, inside)
        grad_weight += grad * norm
        grad_bias += grad
        grad = grad * gain
        along_one = tl.sum(grad, axis=1)[:, None] / width
        along_norm = tl.sum(grad * norm, axis=1)[:, None] / width
        grad = (grad - along_one - norm * along_norm) * inverse
        if grad_merged is not None:
            grad += _load(grad_merged + at, inside)
        out = (grad * scale).to(grad_input.dtype.element_ty)
        tl.store(grad_input + at, out, mask=inside)
        row += programs * ROWS
    at = partial + program.to(tl.int64) * 2 * width + column
    tl.store(at, tl.sum(grad_weight, axis=0), mask=real)
    tl.store(at + width, tl.sum(grad_bias, axis=0), mask=real)


def row_tile(width: int) -> dict[str, int]:
    """Return the sizes of a tile for rows of ``width`` channels."""
    columns = triton.next_power_of_2(width)
    tile_rows = max(1, launch.TILE // columns)
    return {"ROWS": tile_rows, "WIDTH": columns, "num_warps": launch.warps(tile_rows * columns)}


class _MergeNormalize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        differentiate: bool,
        scale: float,
        eps: float,
        weight: torch.Tensor,
        bias: torch.Tensor,
        *inputs: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        first, width = inputs[0], weight.shape[0]
        flat = [rows(x) for x in inputs]
        if len({x.stride(0) for x in flat}) > 1:
            flat = [x.contiguous() for x in flat]
        count, stride = len(flat[0]), flat[0].stride(0)
        normalized = first.new_empty(first.shape)
        # One input that is not scaled is its own sum.
        alone = len(inputs) == 1 and scale == 1.0
        merged = None if alone else torch.empty_like(normalized)
        moments = first.new_empty(2, count, dtype=torch.float32) if differentiate else None
        if count:
            tile = row_tile(width)
            missing = [None] * (launch.MAX_INPUTS - len(flat))
            tensors = (*flat, *missing, weight, bias, merged, normalized, moments)
            with torch.cuda.device_of(first):
                merge_forward[(triton.cdiv(count, tile["ROWS"]),)](
                    *tensors, count, width, stride, scale, eps, **tile
                )
        merged = first if merged is None else merged
        ctx.save_for_backward(merged, weight, moments)
        ctx.scale, ctx.count = scale, len(inputs)
        ctx.set_materialize_grads(False)
        return merged, normalized

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_merged: torch.Tensor | None, grad_normalized: torch.Tensor | None
    ) -> tuple[torch.Tensor | None, ...]:
        merged, weight, moments = ctx.saved_tensors
        grad_input = grad_weight = grad_bias = None
        if grad_normalized is not None:
            grad_input = merged.new_empty(merged.shape)
            flat = rows(merged)
            residual = None if grad_merged is None else grad_merged.contiguous()
            grad = grad_normalized.contiguous()
            count, width = flat.shape
            tile = row_tile(width)
            tiles = triton.cdiv(count, tile["ROWS"])
            programs = min(tiles, MAX_PARTIAL_SUMS, triton.cdiv(count, MIN_ROWS))
            partial = merged.new_empty(programs, 2, width, dtype=torch.float32)
            if count:
                tensors = (flat, weight, moments, residual, grad, grad_input, partial)
                with torch.cuda.device_of(merged):
                    merge_backward[(programs,)](
                        *tensors, count, width, flat.stride(0), ctx.scale, **tile
                    )
            grad_weight, grad_bias = partial.sum(dim=0).to(weight.dtype)
        elif grad_merged is not None:
            grad_input = grad_merged * ctx.scale
        return None, None, None, grad_weight, grad_bias, *[grad_input] * ctx.count


def merge_normalize(
    inputs, weight, bias, *, scale=1.0, eps=1e-5
) -> tuple[torch.Tensor, torch.Tensor]:
    """As :func:`rosearch.operators.kernels.merge_normalize`, by Triton."""
    differentiate = launch.needs_gradient(weight, bias, *inputs)
    out: tuple[torch.Tensor, torch.Tensor] = _MergeNormalize.apply(
        differentiate, scale, eps, weight.contiguous(), bias.contiguous(), *inputs
    )
    return out
