"""The scaled sum of several tensors and its layer norm, in one pass over memory.

Forward, each input is read once and both outputs are written once. Backward, the merged tensor and
the two gradients are read once, and one gradient is written for all inputs: they differ from each
other in nothing. A tile of rows stays in registers while its moments are taken, so the width has a
limit, :data:`~rosearch.operators.kernels.launch.WIDEST`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch.autograd.function import once_differentiable

from rosearch.operators.kernels.launch import (
    MOST_INPUTS,
    on_device_of,
    power_of_two,
    rows,
    warps,
)

TILE = 2048
"""Elements of a tile, where the width is no more: 16 a thread in 4 warps."""

PROGRAMS = 512
"""Most partial sums of the gradients of weight and bias. A constant, and no property of the device,
so that sums come out the same on every one."""

SHARE = 32
"""Fewest rows for a partial sum: its own memory traffic is then a sixteenth of the rest."""


@triton.jit
def _merge_forward(
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
    stride0,
    stride1,
    stride2,
    stride3,
    stride4,
    stride5,
    stride6,
    stride7,
    scale,
    eps,
    COUNT: tl.constexpr,
    WRITE_MERGED: tl.constexpr,
    WRITE_MOMENTS: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    real = column < width
    inside = (row < row_count)[:, None] & real[None, :]
    row_at = row[:, None]
    column_at = column[None, :]
    total = tl.load(x0 + row_at * stride0 + column_at, mask=inside, other=0.0).to(tl.float32)
    if COUNT > 1:
        total += tl.load(x1 + row_at * stride1 + column_at, mask=inside, other=0.0).to(tl.float32)
    if COUNT > 2:
        total += tl.load(x2 + row_at * stride2 + column_at, mask=inside, other=0.0).to(tl.float32)
    if COUNT > 3:
        total += tl.load(x3 + row_at * stride3 + column_at, mask=inside, other=0.0).to(tl.float32)
    if COUNT > 4:
        total += tl.load(x4 + row_at * stride4 + column_at, mask=inside, other=0.0).to(tl.float32)
    if COUNT > 5:
        total += tl.load(x5 + row_at * stride5 + column_at, mask=inside, other=0.0).to(tl.float32)
    if COUNT > 6:
        total += tl.load(x6 + row_at * stride6 + column_at, mask=inside, other=0.0).to(tl.float32)
    if COUNT > 7:
        total += tl.load(x7 + row_at * stride7 + column_at, mask=inside, other=0.0).to(tl.float32)
    if WRITE_MERGED:
        rounded = (total * scale).to(merged.dtype.element_ty)
        tl.store(merged + row_at * width + column_at, rounded, mask=inside)
        # The norm is that of the tensor that others read, and that the backward pass reads.
        total = rounded.to(tl.float32)
    mean = tl.sum(total, axis=1) / width
    centred = tl.where(real[None, :], total - mean[:, None], 0.0)
    # The two-pass variance: the difference of moments would cancel where the mean is large.
    inverse = 1.0 / tl.sqrt(tl.sum(centred * centred, axis=1) / width + eps)
    gain = tl.load(weight + column, mask=real, other=0.0).to(tl.float32)
    shift = tl.load(bias + column, mask=real, other=0.0).to(tl.float32)
    out = centred * inverse[:, None] * gain[None, :] + shift[None, :]
    out = out.to(normalized.dtype.element_ty)
    tl.store(normalized + row_at * width + column_at, out, mask=inside)
    if WRITE_MOMENTS:
        tl.store(moments + row, mean, mask=row < row_count)
        tl.store(moments + row_count + row, inverse, mask=row < row_count)


@triton.jit
def _merge_backward(
    merged,
    weight,
    moments,
    grad_merged,
    grad_normalized,
    grad_input,
    partial,
    row_count,
    width,
    merged_stride,
    grad_merged_stride,
    grad_normalized_stride,
    tiles,
    scale,
    HAS_MERGED: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    program = tl.program_id(0)
    programs = tl.num_programs(0)
    column = tl.arange(0, WIDTH)
    real = column < width
    column_at = column[None, :]
    gain = tl.load(weight + column, mask=real, other=0.0).to(tl.float32)[None, :]
    grad_weight = tl.zeros((ROWS, WIDTH), dtype=tl.float32)
    grad_bias = tl.zeros((ROWS, WIDTH), dtype=tl.float32)
    row = program.to(tl.int64) * ROWS + tl.arange(0, ROWS)
    for _ in range(program, tiles, programs):
        valid = row < row_count
        inside = valid[:, None] & real[None, :]
        row_at = row[:, None]
        mean = tl.load(moments + row, mask=valid, other=0.0)[:, None]
        inverse = tl.load(moments + row_count + row, mask=valid, other=0.0)[:, None]
        x = tl.load(merged + row_at * merged_stride + column_at, mask=inside, other=0.0)
        norm = tl.where(inside, (x.to(tl.float32) - mean) * inverse, 0.0)
        at = grad_normalized + row_at * grad_normalized_stride + column_at
        grad = tl.load(at, mask=inside, other=0.0).to(tl.float32)
        grad_weight += grad * norm
        grad_bias += grad
        grad = grad * gain
        along_one = tl.sum(grad, axis=1)[:, None] / width
        along_norm = tl.sum(grad * norm, axis=1)[:, None] / width
        grad = (grad - along_one - norm * along_norm) * inverse
        if HAS_MERGED:
            at = grad_merged + row_at * grad_merged_stride + column_at
            grad += tl.load(at, mask=inside, other=0.0).to(tl.float32)
        out = (grad * scale).to(grad_input.dtype.element_ty)
        tl.store(grad_input + row_at * width + column_at, out, mask=inside)
        row += programs * ROWS
    at = partial + program.to(tl.int64) * 2 * width + column
    tl.store(at, tl.sum(grad_weight, axis=0), mask=real)
    tl.store(at + width, tl.sum(grad_bias, axis=0), mask=real)


def _tile(width: int) -> tuple[int, int]:
    """Rows and columns of a tile."""
    columns = power_of_two(width)
    return max(1, TILE // columns), columns


def _forward(
    inputs: Sequence[torch.Tensor],
    weight: torch.Tensor,
    bias: torch.Tensor,
    scale: float,
    eps: float,
    *,
    keep: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Merged and normalised tensor, and ``(2, rows)`` means and inverse deviations if ``keep``."""
    first = inputs[0]
    width = first.shape[-1]
    flat = [rows(x) for x in inputs]
    count = flat[0].shape[0]
    normalized = torch.empty(first.shape, dtype=first.dtype, device=first.device)
    # One input that is not scaled is its own sum.
    alone = len(inputs) == 1 and scale == 1.0
    merged = first if alone else torch.empty_like(normalized)
    moments = None
    if keep:
        moments = torch.empty(2, count, dtype=torch.float32, device=first.device)
    if count:
        tile_rows, columns = _tile(width)
        missing = MOST_INPUTS - len(flat)
        with on_device_of(first):
            _merge_forward[(triton.cdiv(count, tile_rows),)](
                *flat,
                *[None] * missing,
                weight,
                bias,
                None if alone else merged,
                normalized,
                moments,
                count,
                width,
                *[x.stride(0) for x in flat],
                *[0] * missing,
                scale,
                eps,
                COUNT=len(flat),
                WRITE_MERGED=not alone,
                WRITE_MOMENTS=keep,
                ROWS=tile_rows,
                WIDTH=columns,
                num_warps=warps(tile_rows * columns),
            )
    return merged, normalized, moments


def _backward(
    merged: torch.Tensor,
    weight: torch.Tensor,
    moments: torch.Tensor,
    grad_merged: torch.Tensor | None,
    grad_normalized: torch.Tensor,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of every input, the weight and the bias."""
    width = merged.shape[-1]
    flat, grad = rows(merged), rows(grad_normalized)
    residual = None if grad_merged is None else rows(grad_merged)
    count = flat.shape[0]
    grad_input = torch.empty(merged.shape, dtype=merged.dtype, device=merged.device)
    tile_rows, columns = _tile(width)
    tiles = triton.cdiv(count, tile_rows)
    programs = min(tiles, PROGRAMS, triton.cdiv(count, SHARE))
    partial = torch.empty(programs, 2, width, dtype=torch.float32, device=merged.device)
    if count:
        with on_device_of(merged):
            _merge_backward[(programs,)](
                flat,
                weight,
                moments,
                residual,
                grad,
                grad_input,
                partial,
                count,
                width,
                flat.stride(0),
                0 if residual is None else residual.stride(0),
                grad.stride(0),
                tiles,
                scale,
                HAS_MERGED=residual is not None,
                ROWS=tile_rows,
                WIDTH=columns,
                num_warps=warps(tile_rows * columns),
            )
    grad_weight, grad_bias = partial.sum(dim=0).to(weight.dtype)
    return grad_input, grad_weight, grad_bias


class _MergeNormalize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        scale: float,
        eps: float,
        weight: torch.Tensor,
        bias: torch.Tensor,
        *inputs: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        merged, normalized, moments = _forward(inputs, weight, bias, scale, eps, keep=True)
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
        grad_weight = grad_bias = None
        if grad_normalized is not None:
            grad_input, grad_weight, grad_bias = _backward(
                merged, weight, moments, grad_merged, grad_normalized, ctx.scale
            )
        elif grad_merged is not None:
            grad_input = grad_merged * ctx.scale
        else:
            nothing: tuple[None, ...] = (None,) * (4 + ctx.count)
            return nothing
        inputs: tuple[torch.Tensor, ...] = (grad_input,) * ctx.count
        return None, None, grad_weight, grad_bias, *inputs


def merge_normalize(
    inputs: Sequence[torch.Tensor],
    weight: torch.Tensor,
    bias: torch.Tensor,
    *,
    scale: float = 1.0,
    eps: float = 1e-5,
) -> tuple[torch.Tensor, torch.Tensor]:
    """As :func:`rosearch.operators.kernels.merge_normalize`, by Triton."""
    weight, bias = weight.contiguous(), bias.contiguous()
    if torch.is_grad_enabled() and any(x.requires_grad for x in (weight, bias, *inputs)):
        merged, normalized = _MergeNormalize.apply(scale, eps, weight, bias, *inputs)
        return merged, normalized
    return _forward(inputs, weight, bias, scale, eps, keep=False)[:2]
