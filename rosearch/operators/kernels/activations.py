"""Activations and their derivatives inside a Triton kernel, in float32."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def activate(x, ACTIVATION: tl.constexpr):
    """``none``, ``sigmoid``, ``silu`` or the exact ``gelu`` (Hendrycks, Gimpel 2016)."""
    if ACTIVATION == "sigmoid":
        x = tl.sigmoid(x)
    elif ACTIVATION == "silu":
        x = x * tl.sigmoid(x)
    elif ACTIVATION == "gelu":
        x = 0.5 * x * (1.0 + tl.erf(x * 0.7071067811865476))
    return x


@triton.jit
def slope(x, ACTIVATION: tl.constexpr):
    """The derivative of :func:`activate` at ``x``; not for ``none``, where it is 1."""
    if ACTIVATION == "sigmoid":
        gate = tl.sigmoid(x)
        x = gate * (1.0 - gate)
    elif ACTIVATION == "silu":
        gate = tl.sigmoid(x)
        x = gate * (1.0 + x * (1.0 - gate))
    elif ACTIVATION == "gelu":
        density = 0.3989422804014327 * tl.exp(-0.5 * x * x)
        x = 0.5 * (1.0 + tl.erf(x * 0.7071067811865476)) + x * density
    return x
