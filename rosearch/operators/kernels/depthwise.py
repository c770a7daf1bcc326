"""Masked depthwise convolution over the tokens with its activation, forward and backward.

Reads ``(batch, length, width)`` without the transposition to ``(batch, width, length)`` and back
that PyTorch's convolution needs. A program owns a tile of tokens and channels of one text;
shifted tiles overlap, so all taps but the first come out of the cache. Padding is zeroed as it is
loaded.

The forward pass for training also writes the slope of the activation. With it one backward kernel
gives the gradients of input, weight and bias with one multiplication a tap. Weight and bias are
summed in two stages: first a row of partial sums for each tile.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch.autograd.function import once_differentiable

from rosearch.operators.kernels.activations import activate, slope
from rosearch.operators.kernels.launch import needs_gradient, warps

MAX_CHANNELS = 64
"""Channels of a tile: one memory line of 128 bytes in 16 bits."""


@triton.jit
def _place(length, width, TOKENS: tl.constexpr, CHANNELS: tl.constexpr):
    """The text, the first token and the channels of this program's tile, and the tile's number
    among all tiles of tokens.
    """
    tile = tl.program_id(0).to(tl.int64)
    channel_tiles = tl.cdiv(width, CHANNELS)
    channel = (tile % channel_tiles * CHANNELS + tl.arange(0, CHANNELS)).to(tl.int32)
    tile = tile // channel_tiles
    token_tiles = tl.cdiv(length, TOKENS)
    return tile // token_tiles, tile % token_tiles * TOKENS, channel, tile


@triton.jit
def _load_tile(tensor, start, stride, token, channel, mask):
    """A tile ``(TOKENS, CHANNELS)`` in float32, zero where the mask is false.

    ``start`` is one number of 64 bits; offsets inside a tile fit in 32.
    """
    at = tensor + start + (token[:, None] * stride + channel[None, :])
    return tl.load(at, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def convolve_forward(
    hidden,
    mask,
    weight,
    bias,
    out,
    slopes,
    length,
    width,
    batch_stride,
    token_stride,
    SIZE: tl.constexpr,
    UNROLL: tl.constexpr,
    ACTIVATION: tl.constexpr,
    TOKENS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Write the activated convolution, and the slope of the activation.

    Tensors:
        hidden: ``(batch, length, width)`` with the given strides.
        mask: uint8 ``(batch, length)``, nonzero at real tokens, or ``None``.
        weight: ``(width, SIZE)``.
        bias: ``(width,)`` or ``None``.
        out: ``(batch, length, width)``, contiguous.
        slopes: As ``out``, or ``None``.
    """
    text, start, channel, _ = _place(length, width, TOKENS, CHANNELS)
    token = tl.arange(0, TOKENS)
    real = channel < width
    total = tl.zeros((TOKENS, CHANNELS), dtype=tl.float32)
    if bias is not None:
        total += tl.load(bias + channel, mask=real, other=0.0).to(tl.float32)[None, :]
    for first in range(0, SIZE, UNROLL):
        for step in tl.static_range(UNROLL):
            tap = first + step
            begin = start + tap - SIZE // 2
            source = begin + token
            seen = (source >= 0) & (source < length) & (tap < SIZE)
            if mask is not None:
                seen = seen & (tl.load(mask + text * length + source, mask=seen, other=0) != 0)
            at = text * batch_stride + begin * token_stride
            both = seen[:, None] & real[None, :]
            x = _load_tile(hidden, at, token_stride, token, channel, both)
            factor_at = weight + channel * SIZE + tap
            factor = tl.load(factor_at, mask=real & (tap < SIZE), other=0.0).to(tl.float32)
            total += x * factor[None, :]
    inside = (start + token < length)[:, None] & real[None, :]
    at = (text * length + start) * width + (token[:, None] * width + channel[None, :])
    tl.store(out + at, activate(total, ACTIVATION).to(out.dtype.element_ty), mask=inside)
    if slopes is not None:
        tl.store(slopes + at, slope(total, ACTIVATION).to(slopes.dtype.element_ty), mask=inside)


@triton.jit
def convolve_backward(
    hidden,
    mask,
    weight,
    slopes,
    grad_out,
    grad_hidden,
    partial,
    length,
    width,
    batch_stride,
    token_stride,
    SIZE: tl.constexpr,
    UNROLL: tl.constexpr,
    TOKENS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Write the gradient of the input, and partial sums of those of weight and bias.

    Tensors:
        hidden: ``(batch, length, width)`` with the given strides.
        mask: uint8 ``(batch, length)``, nonzero at real tokens, or ``None``.
        weight: ``(width, SIZE)``.
        slopes: ``(batch, length, width)``, contiguous, or ``None``.
        grad_out: As ``slopes``.
        grad_hidden: As ``slopes``.
        partial: float32 ``(tiles of tokens, SIZE + 1, width)``: each tap, then the bias.
    """
    text, start, channel, tile = _place(length, width, TOKENS, CHANNELS)
    token = tl.arange(0, TOKENS)
    real = channel < width
    valid = start + token < length
    seen = valid
    if mask is not None:
        seen = seen & (tl.load(mask + text * length + start + token, mask=seen, other=0) != 0)
    at = text * batch_stride + start * token_stride
    x = _load_tile(hidden, at, token_stride, token, channel, seen[:, None] & real[None, :])
    total = tl.zeros((TOKENS, CHANNELS), dtype=tl.float32)
    sums = partial + tile * (SIZE + 1) * width + channel
    for first in range(0, SIZE, UNROLL):
        for step in tl.static_range(UNROLL):
            tap = first + step
            # Every pair of an input and an output that sees it belongs to the tile of the input.
            begin = start - tap + SIZE // 2
            target = begin + token
            hit = (target >= 0) & (target < length) & (tap < SIZE)
            at = (text * length + begin) * width
            both = hit[:, None] & real[None, :]
            grad = _load_tile(grad_out, at, width, token, channel, both)
            if slopes is not None:
                grad = grad * _load_tile(slopes, at, width, token, channel, both)
            known = real & (tap < SIZE)
            factor_at = weight + channel * SIZE + tap
            factor = tl.load(factor_at, mask=known, other=0.0).to(tl.float32)
            total += grad * factor[None, :]
            tl.store(sums + tap * width, tl.sum(grad * x, axis=0), mask=known)
    # The last row of the partial sums is the bias; the tile is in the cache.
    at = (text * length + start) * width
    inside = valid[:, None] & real[None, :]
    grad = _load_tile(grad_out, at, width, token, channel, inside)
    if slopes is not None:
        grad = grad * _load_tile(slopes, at, width, token, channel, inside)
    tl.store(sums + SIZE * width, tl.sum(grad, axis=0), mask=real)
    # Padding was zero whatever it held, so it has no gradient.
    result = tl.where(seen[:, None], total, 0.0).to(grad_hidden.dtype.element_ty)
    at += token[:, None] * width + channel[None, :]
    tl.store(grad_hidden + at, result, mask=inside)


def tiles(shape: torch.Size, size: int) -> tuple[int, int, dict[str, int]]:
    """Return the number of tiles of tokens and of channels, and the kernels' constants.

    ``shape`` is ``(batch, length, width)`` and ``size`` the kernel size.

    Large kernels get a longer tile and a shorter unrolled loop, because of the partial sums and
    of the registers.
    """
    batch, length, width = shape
    tokens, unroll = (32, size) if size <= 7 else (64, 2)
    tokens = min(tokens, triton.next_power_of_2(max(length, 1)))
    channels = min(MAX_CHANNELS, triton.next_power_of_2(width))
    constants = {"SIZE": size, "UNROLL": unroll, "TOKENS": tokens, "CHANNELS": channels}
    constants["num_warps"] = warps(tokens * channels)
    return batch * triton.cdiv(length, tokens), triton.cdiv(width, channels), constants


def _strided(tensor: torch.Tensor) -> torch.Tensor:
    """Return the tensor, copied unless its channel stride is 1 and a tile's offsets fit 32 bits."""
    fine = tensor.stride(-1) == 1 or tensor.shape[-1] == 1
    return tensor if fine and tensor.stride(1) < 2**24 else tensor.contiguous()


class _DepthwiseConvolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        differentiate: bool,
        hidden: torch.Tensor,
        mask: torch.Tensor | None,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        activation: str,
    ) -> torch.Tensor:
        hidden = _strided(hidden)
        out = hidden.new_empty(hidden.shape)
        slopes = torch.empty_like(out) if differentiate and activation != "none" else None
        if out.numel():
            token_tiles, channel_tiles, constants = tiles(hidden.shape, weight.shape[1])
            tensors = (hidden, mask, weight, bias, out, slopes)
            sizes = (*hidden.shape[1:], *hidden.stride()[:2])
            with torch.cuda.device_of(hidden):
                convolve_forward[(token_tiles * channel_tiles,)](
                    *tensors, *sizes, ACTIVATION=activation, **constants
                )
        ctx.save_for_backward(hidden, mask, weight, slopes)
        ctx.has_bias = bias is not None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden, mask, weight, slopes = ctx.saved_tensors
        width, size = weight.shape
        grad_hidden = hidden.new_empty(hidden.shape)
        token_tiles, channel_tiles, constants = tiles(hidden.shape, size)
        partial = hidden.new_empty(token_tiles, size + 1, width, dtype=torch.float32)
        if hidden.numel():
            tensors = (hidden, mask, weight, slopes, grad_out.contiguous(), grad_hidden, partial)
            sizes = (*hidden.shape[1:], *hidden.stride()[:2])
            with torch.cuda.device_of(hidden):
                convolve_backward[(token_tiles * channel_tiles,)](*tensors, *sizes, **constants)
        sums = partial.sum(dim=0).to(weight.dtype)
        grad_bias = sums[size] if ctx.has_bias else None
        return None, grad_hidden, None, sums[:size].t(), grad_bias, None


def depthwise_convolution(hidden, mask, weight, bias, *, activation="none") -> torch.Tensor:
    """As :func:`rosearch.operators.kernels.depthwise_convolution`, by Triton."""
    differentiate = needs_gradient(hidden, weight, bias)
    if mask is not None:
        # One byte a token, of a type that all versions of Triton load.
        mask = mask.contiguous().view(torch.uint8)
    bias = None if bias is None else bias.contiguous()
    out: torch.Tensor = _DepthwiseConvolution.apply(
        differentiate, hidden, mask, weight.contiguous(), bias, activation
    )
    return out
