"""Masked depthwise convolution over the tokens with its activation, forward and backward.

Reads ``(batch, length, width)`` as it lies, without the change to ``(batch, width, length)`` and
back that PyTorch's convolution asks for. A program owns a tile of tokens and channels of one text;
shifted tiles overlap, so all taps but the first come out of the cache. Padding is zeroed as it is
loaded.

Forward for training also writes the slope of the activation. With it one backward kernel gives the
gradients of input, weight and bias with a multiplication a tap, in place of the activation's
derivative a tap. Weight and bias are summed in two stages, a row of partial sums a tile first.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch.autograd.function import once_differentiable

from rosearch.operators.kernels.activations import activate, slope
from rosearch.operators.kernels.launch import on_device_of, power_of_two, warps

CHANNELS = 64
"""Most channels of a tile: one memory line of 128 bytes in 16 bits."""


@triton.jit
def _convolve_forward(
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
    dilation,
    token_tiles,
    channel_tiles,
    SIZE: tl.constexpr,
    UNROLL: tl.constexpr,
    ACTIVATION: tl.constexpr,
    HAS_MASK: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    WRITE_SLOPES: tl.constexpr,
    TOKENS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    tile = tl.program_id(0).to(tl.int64)
    start = tile // channel_tiles % token_tiles * TOKENS
    text = tile // channel_tiles // token_tiles
    channel = (tile % channel_tiles * CHANNELS + tl.arange(0, CHANNELS)).to(tl.int32)
    token = tl.arange(0, TOKENS)
    real = channel < width
    # Where a tile begins is one number of 64 bits; offsets inside a tile fit in 32.
    inside_tile = token[:, None] * token_stride + channel[None, :]
    total = tl.zeros((TOKENS, CHANNELS), dtype=tl.float32)
    if HAS_BIAS:
        total += tl.load(bias + channel, mask=real, other=0.0).to(tl.float32)[None, :]
    for first in range(0, SIZE, UNROLL):
        for step in tl.static_range(UNROLL):
            tap = first + step
            begin = start + (tap - SIZE // 2) * dilation
            source = begin + token
            seen = (source >= 0) & (source < length) & (tap < SIZE)
            if HAS_MASK:
                seen = seen & (tl.load(mask + text * length + source, mask=seen, other=0) != 0)
            source_at = hidden + (text * batch_stride + begin * token_stride) + inside_tile
            x = tl.load(source_at, mask=seen[:, None] & real[None, :], other=0.0).to(tl.float32)
            factor_at = weight + channel * SIZE + tap
            factor = tl.load(factor_at, mask=real & (tap < SIZE), other=0.0).to(tl.float32)
            total += x * factor[None, :]
    inside = (start + token < length)[:, None] & real[None, :]
    base = (text * length + start) * width
    out_tile = token[:, None] * width + channel[None, :]
    result = activate(total, ACTIVATION)
    tl.store(out + base + out_tile, result.to(out.dtype.element_ty), mask=inside)
    if WRITE_SLOPES:
        result = slope(total, ACTIVATION)
        tl.store(slopes + base + out_tile, result.to(slopes.dtype.element_ty), mask=inside)


@triton.jit
def _gradient(
    grad_out,
    slopes,
    text,
    begin,
    token,
    channel,
    inside,
    length,
    width,
    batch_stride,
    token_stride,
    HAS_SLOPES: tl.constexpr,
):
    """A tile of the gradient before the activation, from the token ``begin`` on."""
    at = grad_out + (text * batch_stride + begin * token_stride)
    at += token[:, None] * token_stride + channel[None, :]
    grad = tl.load(at, mask=inside, other=0.0).to(tl.float32)
    if HAS_SLOPES:
        at = slopes + (text * length + begin) * width
        at += token[:, None] * width + channel[None, :]
        grad = grad * tl.load(at, mask=inside, other=0.0).to(tl.float32)
    return grad


@triton.jit
def _convolve_backward(
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
    grad_batch_stride,
    grad_token_stride,
    dilation,
    token_tiles,
    channel_tiles,
    SIZE: tl.constexpr,
    UNROLL: tl.constexpr,
    HAS_MASK: tl.constexpr,
    HAS_SLOPES: tl.constexpr,
    TOKENS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    tile = tl.program_id(0).to(tl.int64)
    start = tile // channel_tiles % token_tiles * TOKENS
    text = tile // channel_tiles // token_tiles
    channel = (tile % channel_tiles * CHANNELS + tl.arange(0, CHANNELS)).to(tl.int32)
    token = tl.arange(0, TOKENS)
    real = channel < width
    valid = start + token < length
    seen = valid
    if HAS_MASK:
        seen = seen & (tl.load(mask + text * length + start + token, mask=seen, other=0) != 0)
    at = hidden + (text * batch_stride + start * token_stride)
    at += token[:, None] * token_stride + channel[None, :]
    x = tl.load(at, mask=seen[:, None] & real[None, :], other=0.0).to(tl.float32)
    total = tl.zeros((TOKENS, CHANNELS), dtype=tl.float32)
    sums = partial + tile // channel_tiles * (SIZE + 1) * width
    for first in range(0, SIZE, UNROLL):
        for step in tl.static_range(UNROLL):
            tap = first + step
            # Every pair of an input and an output that sees it belongs to the tile of the input.
            begin = start - (tap - SIZE // 2) * dilation
            target = begin + token
            hit = (target >= 0) & (target < length) & (tap < SIZE)
            grad = _gradient(
                grad_out,
                slopes,
                text,
                begin,
                token,
                channel,
                hit[:, None] & real[None, :],
                length,
                width,
                grad_batch_stride,
                grad_token_stride,
                HAS_SLOPES,
            )
            known = real & (tap < SIZE)
            factor_at = weight + channel * SIZE + tap
            factor = tl.load(factor_at, mask=known, other=0.0).to(tl.float32)
            total += grad * factor[None, :]
            tl.store(sums + tap * width + channel, tl.sum(grad * x, axis=0), mask=known)
    # The last row of the partial sums is the bias; the tile is in the cache.
    inside = valid[:, None] & real[None, :]
    centre = _gradient(
        grad_out,
        slopes,
        text,
        start,
        token,
        channel,
        inside,
        length,
        width,
        grad_batch_stride,
        grad_token_stride,
        HAS_SLOPES,
    )
    tl.store(sums + SIZE * width + channel, tl.sum(centre, axis=0), mask=real)
    at = grad_hidden + (text * length + start) * width
    at += token[:, None] * width + channel[None, :]
    # Padding was zero whatever it held, so it has no gradient.
    result = tl.where(seen[:, None], total, 0.0).to(grad_hidden.dtype.element_ty)
    tl.store(at, result, mask=inside)


def _tile(length: int, width: int, size: int) -> tuple[int, int, int]:
    """Tokens and channels of a tile, and how many taps are unrolled.

    A longer tile and a shorter unrolled loop where the kernel is large, because of the partial
    sums and of the registers.
    """
    tokens, unroll = (32, size) if size <= 7 else (64, 2)
    return min(tokens, power_of_two(length)), min(CHANNELS, power_of_two(width)), unroll


def _strided(tensor: torch.Tensor) -> torch.Tensor:
    """Channels side by side, and offsets inside a tile within 32 bits; copied where it is not."""
    fine = tensor.stride(-1) == 1 or tensor.shape[-1] == 1
    return tensor if fine and tensor.stride(1) < 2**24 else tensor.contiguous()


def _forward(
    hidden: torch.Tensor,
    mask: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    dilation: int,
    activation: str,
    *,
    keep: bool,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The result, and the activation's slope if ``keep`` and it is not 1 everywhere."""
    batch, length, width = hidden.shape
    size = weight.shape[1]
    out = torch.empty(hidden.shape, dtype=hidden.dtype, device=hidden.device)
    slopes = torch.empty_like(out) if keep and activation != "none" else None
    if out.numel():
        hidden = _strided(hidden)
        tokens, channels, unroll = _tile(length, width, size)
        token_tiles, channel_tiles = triton.cdiv(length, tokens), triton.cdiv(width, channels)
        with on_device_of(hidden):
            _convolve_forward[(batch * token_tiles * channel_tiles,)](
                hidden,
                mask,
                weight,
                bias,
                out,
                slopes,
                length,
                width,
                hidden.stride(0),
                hidden.stride(1),
                dilation,
                token_tiles,
                channel_tiles,
                SIZE=size,
                UNROLL=unroll,
                ACTIVATION=activation,
                HAS_MASK=mask is not None,
                HAS_BIAS=bias is not None,
                WRITE_SLOPES=slopes is not None,
                TOKENS=tokens,
                CHANNELS=channels,
                num_warps=warps(tokens * channels),
            )
    return out, slopes


def _backward(
    hidden: torch.Tensor,
    mask: torch.Tensor | None,
    weight: torch.Tensor,
    slopes: torch.Tensor | None,
    grad_out: torch.Tensor,
    dilation: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of input, weight and bias, the last two in float32."""
    batch, length, width = hidden.shape
    size = weight.shape[1]
    grad_hidden = torch.empty(hidden.shape, dtype=hidden.dtype, device=hidden.device)
    tokens, channels, unroll = _tile(length, width, size)
    token_tiles, channel_tiles = triton.cdiv(length, tokens), triton.cdiv(width, channels)
    partial = torch.empty(
        batch * token_tiles, size + 1, width, dtype=torch.float32, device=hidden.device
    )
    if hidden.numel():
        hidden, grad_out = _strided(hidden), _strided(grad_out)
        with on_device_of(hidden):
            _convolve_backward[(batch * token_tiles * channel_tiles,)](
                hidden,
                mask,
                weight,
                slopes,
                grad_out,
                grad_hidden,
                partial,
                length,
                width,
                hidden.stride(0),
                hidden.stride(1),
                grad_out.stride(0),
                grad_out.stride(1),
                dilation,
                token_tiles,
                channel_tiles,
                SIZE=size,
                UNROLL=unroll,
                HAS_MASK=mask is not None,
                HAS_SLOPES=slopes is not None,
                TOKENS=tokens,
                CHANNELS=channels,
                num_warps=warps(tokens * channels),
            )
    sums = partial.sum(dim=0)
    return grad_hidden, sums[:size].t(), sums[size]


class _DepthwiseConvolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        mask: torch.Tensor | None,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        dilation: int,
        activation: str,
    ) -> torch.Tensor:
        out, slopes = _forward(hidden, mask, weight, bias, dilation, activation, keep=True)
        ctx.save_for_backward(hidden, mask, weight, slopes)
        ctx.dilation, ctx.has_bias = dilation, bias is not None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden, mask, weight, slopes = ctx.saved_tensors
        grad_hidden, grad_weight, grad_bias = _backward(
            hidden, mask, weight, slopes, grad_out, ctx.dilation
        )
        return (
            grad_hidden,
            None,
            grad_weight.to(weight.dtype),
            grad_bias.to(weight.dtype) if ctx.has_bias else None,
            None,
            None,
        )


def depthwise_convolution(
    hidden: torch.Tensor,
    mask: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    *,
    dilation: int = 1,
    activation: str = "none",
) -> torch.Tensor:
    """As :func:`rosearch.operators.kernels.depthwise_convolution`, by Triton."""
    weight = weight.contiguous()
    bias = None if bias is None else bias.contiguous()
    if mask is not None:
        # One byte a token, of a type that all versions of Triton load.
        mask = mask.contiguous().view(torch.uint8)
    parameters = (hidden, weight) if bias is None else (hidden, weight, bias)
    if torch.is_grad_enabled() and any(x.requires_grad for x in parameters):
        out: torch.Tensor = _DepthwiseConvolution.apply(
            hidden, mask, weight, bias, dilation, activation
        )
        return out
    return _forward(hidden, mask, weight, bias, dilation, activation, keep=False)[0]
