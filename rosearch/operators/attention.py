"""Self-attention: scaled dot-product, with relative positions, and linear."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from rosearch.operators.base import LinearEnding, exporting, registry, tracing, unpadded
from rosearch.parameters import Choice

LONG = 128
"""Length in tokens above which PyTorch's fused attention trains as fast in float32 on a CPU."""


def split_heads(projected: torch.Tensor, *, heads: int) -> tuple[torch.Tensor, ...]:
    """Split a fused projection into query, key and value of each head.

    Args:
        projected: ``(batch, length, 3 * width)``.
        heads: Number of heads; divides the width.

    Returns:
        Three views ``(batch, heads, length, width / heads)``.
    """
    batch, length, fused = projected.shape
    split = projected.view(batch, length, 3, heads, fused // (3 * heads))
    return split.permute(2, 0, 3, 1, 4).unbind(0)


def join_heads(mixed: torch.Tensor) -> torch.Tensor:
    """Turn ``(batch, heads, length, channels)`` into ``(batch, length, heads * channels)``."""
    joined = mixed.transpose(1, 2)
    if tracing():
        # Exporters replace fused attention by products, whose result has another memory layout.
        joined = joined.clone(memory_format=torch.contiguous_format)
    return joined.flatten(2)


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """Compute ``softmax(Q K^T / sqrt(d) + B) V`` (Vaswani et al. 2017, equation 1).

    By PyTorch's fused attention, except for training on a CPU: there two plain matrix products
    take about two thirds of its time in float32, and a tenth of it in bfloat16.

    Args:
        query: ``(batch, heads, length, channels)``.
        key: ``(batch, heads, length, channels)``.
        value: ``(batch, heads, length, channels)``.
        bias: Added to the scores, or a bool tensor that is true at visible tokens, of which every
            text has one; broadcasts to ``(batch, heads, length, length)``. ``None``: every token is
            visible.

    Returns:
        ``(batch, heads, length, channels)``.
    """
    batch, heads, length, channels = query.shape
    plain = torch.is_grad_enabled() and (query.dtype != torch.float32 or length <= LONG)
    if tracing() or query.device.type != "cpu" or not plain:
        if bias is not None and exporting():
            # onnxruntime refuses ONNX's Attention (opset 23) with a mask that all queries share.
            bias = bias.expand(-1, -1, length, -1)
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    scale = channels**-0.5
    query, key, value = (x.reshape(batch * heads, length, channels) for x in (query, key, value))
    if bias is None:
        scores = torch.bmm(query * scale, key.transpose(1, 2))
    else:
        if bias.dtype == torch.bool:
            lowest = torch.finfo(query.dtype).min
            bias = torch.zeros_like(bias, dtype=query.dtype).masked_fill(~bias, lowest)
        added = bias.expand(batch, heads, -1, -1).flatten(0, 1)
        scores = torch.baddbmm(added, query, key.transpose(1, 2), alpha=scale)
    mixed = torch.bmm(torch.softmax(scores, dim=-1).to(value.dtype), value)
    return mixed.view(batch, heads, length, channels)


def heads_complaint(width: int, heads: int) -> str | None:
    """Return a complaint if the number of heads does not divide the width."""
    return None if width % heads == 0 else f"{heads} heads do not divide the width {width}"


class MultiHead(LinearEnding):
    """Base of attention operators: one linear map to queries, keys and values, one at the end.

    Args:
        width: Channels.
        heads: Number of heads; divides ``width``.
    """

    family = "attention"
    last = "projection_out"

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__(width)
        self.heads = heads
        self.projection_in = nn.Linear(width, 3 * width)
        self.projection_out = nn.Linear(width, width)

    @classmethod
    def complaint(cls, width: int, parameters: Mapping[str, Any]) -> str | None:
        return heads_complaint(width, parameters["heads"])


@registry.register("attention")
class SelfAttention(MultiHead):
    """Multi-head scaled dot-product self-attention (Vaswani et al. 2017, equation 1)."""

    choices = {"heads": Choice(1, 2, 3, 4, 6, 8, 12, default=4)}
    source = "Vaswani et al. 2017, equation 1"

    def before_last(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        query, key, value = split_heads(self.projection_in(hidden), heads=self.heads)
        visible = None if unpadded(mask) else mask[:, None, None, :]
        return join_heads(attend(query, key, value, visible))


@registry.register("relative_attention")
class RelativeAttention(MultiHead):
    """Self-attention with a learned bias for each head and distance (T5, Raffel et al. 2020,
    section 2.1): ``softmax(Q K^T / sqrt(d) + B) V``, with ``B[i, j]`` chosen by ``j - i``.

    ``buckets`` biases cover all distances: half of them for each direction; of each half, half for
    single distances and half for ranges that grow logarithmically up to ``MAX_DISTANCE``. Unlike in
    T5, products are scaled by the square root of the head's width and linear maps have biases.

    Args:
        width: Channels.
        heads: Number of heads; divides ``width``.
        buckets: Biases a head, a multiple of 4.
    """

    MAX_DISTANCE = 128
    """Distance in tokens beyond which all share a bias."""

    choices = {"heads": Choice(1, 2, 3, 4, 6, 8, 12, default=4), "buckets": Choice(16, 32)}
    source = "Raffel et al. 2020 (T5), section 2.1"

    def __init__(self, width: int, *, heads: int, buckets: int) -> None:
        super().__init__(width, heads=heads)
        self.buckets = buckets
        self.biases = nn.Embedding(buckets, heads)

    def bucket(self, distance: torch.Tensor) -> torch.Tensor:
        """Return the number of the bias for each distance.

        Args:
            distance: int64 of any shape, position of the key minus position of the query.
        """
        one_side = self.buckets // 2
        exact = one_side // 2
        far = distance.abs()
        ranges = torch.log(far.clamp(min=1).float() / exact) / math.log(self.MAX_DISTANCE / exact)
        grown = (exact + (ranges * (one_side - exact)).long()).clamp(max=one_side - 1)
        return torch.where(far < exact, far, grown) + one_side * (distance > 0)

    def before_last(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        query, key, value = split_heads(self.projection_in(hidden), heads=self.heads)
        position = torch.arange(hidden.shape[1], device=hidden.device)
        bucket = self.bucket(position - position.unsqueeze(1))
        # Padding shifts all tokens of a row alike, so distances need no mask.
        bias = self.biases(bucket).permute(2, 0, 1).unsqueeze(0).to(query.dtype)
        if not unpadded(mask):
            bias = bias.masked_fill(~mask[:, None, None, :], torch.finfo(bias.dtype).min)
        return join_heads(attend(query, key, value, bias))


@registry.register("linear_attention")
class LinearAttention(MultiHead):
    """Self-attention in time linear in the length (Katharopoulos et al. 2020, equation 5).

    ``phi(Q) (phi(K)^T V) / (phi(Q) sum(phi(K)))`` with ``phi(x) = elu(x) + 1``, each token over
    all real tokens of the text.
    """

    choices = {"heads": Choice(1, 2, 4, 8, default=4)}
    source = "Katharopoulos et al. 2020, equation 5"

    def before_last(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        query, key, value = split_heads(self.projection_in(hidden), heads=self.heads)
        query, key = functional.elu(query) + 1.0, functional.elu(key) + 1.0
        if not unpadded(mask):
            key = key * mask[:, None, :, None]
        summary = key.transpose(2, 3) @ value
        total = query @ key.sum(dim=2).unsqueeze(-1)
        # elu + 1 vanishes for very negative arguments; the paper's code adds the same constant.
        return join_heads((query @ summary) / (total + 1e-6))
