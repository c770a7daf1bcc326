"""What one would take from PyTorch or Hugging Face in place of each operator.

Written as a practitioner would: the library's own module where there is one, its mask or packing
used so that padding does not count, no tuning beyond that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from measuring import DEVICE, batch, limits, synchronized
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import rosearch.operators as ops


class Masked(nn.Module):
    """A module on ``(batch, length, width)`` with zeroed padding."""

    def __init__(self, module: nn.Module, *, channels_first: bool = False) -> None:
        super().__init__()
        self.module = module
        self.channels_first = channels_first

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden = hidden * mask.unsqueeze(-1)
        if self.channels_first:
            hidden = hidden.transpose(1, 2)
        out: torch.Tensor = self.module(hidden)
        return out.transpose(1, 2) if self.channels_first else out


class TokenWise(nn.Module):
    """A module that treats every token by itself and needs no mask."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.module(hidden)
        return out


class MultiHead(nn.Module):
    """torch.nn.MultiheadAttention."""

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.attention(
            hidden, hidden, hidden, key_padding_mask=~mask, need_weights=False
        )[0]
        return out


class T5(nn.Module):
    """transformers' T5Attention with its relative bias."""

    def __init__(self, width: int, *, heads: int, **_: Any) -> None:
        super().__init__()
        from transformers import T5Config
        from transformers.models.t5.modeling_t5 import T5Attention

        config = T5Config(d_model=width, d_kv=width // heads, num_heads=heads, dropout_rate=0.0)
        self.attention = T5Attention(config, has_relative_attention_bias=True, layer_idx=0)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        bias = torch.zeros_like(mask, dtype=hidden.dtype).masked_fill(~mask, -1e9)
        out: torch.Tensor = self.attention(hidden, mask=bias[:, None, None, :])[0]
        return out


class Linear(nn.Module):
    """Linear attention with einsum, as its authors' package computes it."""

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        n, length, width = hidden.shape
        shape = (n, length, self.heads, width // self.heads)
        query = functional.elu(self.query(hidden).view(shape)) + 1
        key = (functional.elu(self.key(hidden).view(shape)) + 1) * mask[:, :, None, None]
        value = self.value(hidden).view(shape)
        memory = torch.einsum("nshd,nshm->nhmd", key, value)
        scale = 1 / (torch.einsum("nlhd,nhd->nlh", query, key.sum(dim=1)) + 1e-6)
        mixed = torch.einsum("nlhd,nhmd,nlh->nlhm", query, memory, scale)
        out: torch.Tensor = self.out(mixed.reshape(n, length, width))
        return out


class Fourier(nn.Module):
    """FNet's mixing by a fast Fourier transform over the padded batch, as FNet itself does it."""

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return torch.fft.fftn(hidden * mask.unsqueeze(-1), dim=(1, 2)).real


class LightweightConvolution(nn.Module):
    """Unfolded windows times softmax weights, as fairseq computes it without its CUDA kernel."""

    def __init__(self, width: int, *, kernel_size: int, heads: int, dynamic: bool) -> None:
        super().__init__()
        self.size, self.heads = kernel_size, heads
        self.expand = nn.Linear(width, 2 * width)
        self.contract = nn.Linear(width, width)
        if dynamic:
            self.predict = nn.Linear(width, heads * kernel_size)
        else:
            self.weight = nn.Parameter(torch.randn(heads, kernel_size))

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        n, length, width = hidden.shape
        hidden = functional.glu(self.expand(hidden), dim=-1) * mask.unsqueeze(-1)
        if hasattr(self, "predict"):
            weight = self.predict(hidden).view(n, length, self.heads, self.size)
        else:
            weight = self.weight.expand(n, length, -1, -1)
        half = self.size // 2
        windows = functional.pad(hidden, (0, 0, half, half)).unfold(1, self.size, 1)
        windows = windows.reshape(n, length, self.heads, width // self.heads, self.size)
        mixed = torch.einsum("nlhdk,nlhk->nlhd", windows, weight.softmax(dim=-1))
        out: torch.Tensor = self.contract(mixed.reshape(n, length, width))
        return out


class Gated(nn.Module):
    """A gated feed-forward unit of three linear maps, as Llama and T5 1.1 have it."""

    def __init__(self, inner: int, width: int, activation: nn.Module) -> None:
        super().__init__()
        self.gate, self.up = nn.Linear(width, inner), nn.Linear(width, inner)
        self.down = nn.Linear(inner, width)
        self.activation = activation

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.down(self.activation(self.gate(hidden)) * self.up(hidden))
        return out


class Recurrent(nn.Module):
    """A bidirectional recurrence over packed sequences."""

    def __init__(self, unit: nn.RNNBase) -> None:
        super().__init__()
        self.unit = unit

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        packed = pack_padded_sequence(
            hidden, mask.sum(dim=1).cpu(), batch_first=True, enforce_sorted=False
        )
        states, _ = self.unit(packed)
        out, _ = pad_packed_sequence(states, batch_first=True, total_length=hidden.shape[1])
        return out


class MinimalRecurrence(nn.Module):
    """minGRU in both directions, token after token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gates = nn.ModuleList(nn.Linear(width, width) for _ in range(2))

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        out = []
        for gates, backward in zip(self.gates, (False, True), strict=True):
            gate, candidate = gates(hidden).chunk(2, dim=-1)
            gate = torch.sigmoid(gate) * mask.unsqueeze(-1)
            state = torch.zeros_like(candidate[:, 0])
            states = []
            steps = range(hidden.shape[1])
            for step in reversed(steps) if backward else steps:
                state = (1 - gate[:, step]) * state + gate[:, step] * candidate[:, step]
                states.append(state)
            out.append(torch.stack(states[::-1] if backward else states, dim=1))
        return torch.cat(out, dim=-1)


class SqueezeExcitation(nn.Module):
    """Channels weighed by a small network on their mean over the real tokens."""

    def __init__(self, width: int, *, reduction: int) -> None:
        super().__init__()
        inner = width // reduction
        self.scale = nn.Sequential(
            nn.Linear(width, inner), nn.ReLU(), nn.Linear(inner, width), nn.Sigmoid()
        )

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        real = mask.unsqueeze(-1)
        mean = (hidden * real).sum(dim=1) / real.sum(dim=1)
        out: torch.Tensor = hidden * self.scale(mean).unsqueeze(1)
        return out


def convolution(width: int, *, kernel_size: int, dilation: int = 1, groups: int = 1) -> nn.Conv1d:
    """torch.nn.Conv1d that keeps the length."""
    padding = dilation * (kernel_size // 2)
    return nn.Conv1d(width, width, kernel_size, padding=padding, dilation=dilation, groups=groups)


def separable(width: int, *, kernel_size: int) -> nn.Module:
    """Depthwise and pointwise Conv1d, then GELU."""
    depthwise = convolution(width, kernel_size=kernel_size, groups=width)
    return Masked(
        nn.Sequential(depthwise, nn.Conv1d(width, width, 1), nn.GELU()), channels_first=True
    )


def feed_forward(width: int, *, expansion: int) -> nn.Module:
    """Linear, GELU, Linear."""
    inner = expansion * width
    return TokenWise(nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width)))


def glu(width: int, *, expansion: int) -> nn.Module:
    """Linear, GLU, Linear."""
    inner = expansion * width
    return TokenWise(nn.Sequential(nn.Linear(width, 2 * inner), nn.GLU(), nn.Linear(inner, width)))


def gated(width: int, *, expansion: int, gate: str) -> nn.Module:
    """Llama's and T5 1.1's unit."""
    return Gated(expansion * width, width, nn.GELU() if gate == "gelu" else nn.SiLU())


def pooling(kind: type[nn.Module]) -> Callable[..., nn.Module]:
    """A pooling module over the tokens that keeps the length."""

    def build(_: int, *, window: int) -> nn.Module:
        return Masked(kind(window, stride=1, padding=window // 2), channels_first=True)

    return build


def activated(width: int, **parameters: Any) -> nn.Module:
    """Conv1d, then GELU."""
    return Masked(nn.Sequential(convolution(width, **parameters), nn.GELU()), channels_first=True)


def both_ways(unit: type[nn.RNNBase]) -> Callable[[int], nn.Module]:
    """A bidirectional layer of half the width a direction."""
    return lambda width: Recurrent(unit(width, width // 2, batch_first=True, bidirectional=True))


PEERS: dict[str, tuple[str, Callable[..., nn.Module]]] = {
    "attention": ("nn.MultiheadAttention", MultiHead),
    "average_pooling": ("nn.AvgPool1d", pooling(nn.AvgPool1d)),
    "bidirectional_gru": ("nn.GRU, packed", both_ways(nn.GRU)),
    "bidirectional_lstm": ("nn.LSTM, packed", both_ways(nn.LSTM)),
    "convolution": ("nn.Conv1d, GELU", activated),
    "depthwise_convolution": (
        "nn.Conv1d, GELU",
        lambda width, **parameters: activated(width, groups=width, **parameters),
    ),
    "dilated_convolution": ("nn.Conv1d, GELU", activated),
    "dynamic_convolution": (
        "unfold, as fairseq",
        lambda width, **parameters: LightweightConvolution(width, dynamic=True, **parameters),
    ),
    "feed_forward": ("nn.Sequential", feed_forward),
    "fourier_mixing": ("torch.fft, as FNet", lambda _: Fourier()),
    "gated_feed_forward": ("three maps, as Llama", gated),
    "gated_linear_unit": ("nn.GLU", glu),
    "identity": ("nn.Identity", lambda _: TokenWise(nn.Identity())),
    "lightweight_convolution": (
        "unfold, as fairseq",
        lambda width, **parameters: LightweightConvolution(width, dynamic=False, **parameters),
    ),
    "linear_attention": ("einsum", Linear),
    "max_pooling": ("nn.MaxPool1d", pooling(nn.MaxPool1d)),
    "minimal_gru": ("loop over tokens", MinimalRecurrence),
    "relative_attention": ("T5Attention", T5),
    "separable_convolution": ("nn.Conv1d twice, GELU", separable),
    "squeeze_excitation": ("nn.Sequential", SqueezeExcitation),
}
"""Operator to the peer's name and its constructor, which takes the operator's arguments."""

SIDES = ("rosearch", "peer")
PASSES = ("forward", "forward and backward")


def built_in() -> list[str]:
    """Names of the operators; plug-ins that happen to be installed have no peer."""
    return [n for n in ops.names() if ops.get(n).__module__.startswith("rosearch.")]


def task(name: str, side: str, kind: str, shape: tuple[int, int, int]) -> Callable[[], Any]:
    """One of ``PASSES`` of an operator or its peer over a padded batch.

    Forward passes are in inference mode and give the output, the others the input's gradient.
    """
    torch.manual_seed(0)
    parameters = ops.complete(name, {})
    build = PEERS[name][1] if side == "peer" else ops.get(name)
    operator = build(shape[-1], **parameters).to(DEVICE)
    hidden, mask = batch(shape)
    weights = torch.randn_like(hidden)

    @torch.inference_mode()
    def forward() -> torch.Tensor:
        out: torch.Tensor = operator(hidden, mask)
        return out

    def both() -> torch.Tensor | None:
        operator.zero_grad(set_to_none=True)
        hidden.grad = None
        operator(hidden, mask).backward(weights)
        return hidden.grad

    if kind == "forward":
        operator.eval()
        return synchronized(forward)
    hidden.requires_grad_()
    return synchronized(both)


def least_work(name: str, kind: str, shape: tuple[int, int, int]) -> dict[str, float]:
    """Operations and bytes of an operator's forward pass, and least seconds of ``kind`` here.

    The seconds are those of the operations at the rate of a large matrix product, or of the bytes
    at the rate of a copy, whichever is more. Bytes are those of input, output and parameters, each
    once; a backward pass counts as twice the forward pass.
    """
    texts, length, width = shape
    cost = ops.cost(name, width, length=length, **ops.complete(name, {}))
    rates = limits()
    flops = cost.flops_per_token * texts * length
    moved = 4 * (2 * texts * length * width + cost.parameters)
    seconds = max(flops / rates["flops"], moved / rates["bytes"])
    factor = 1 if kind == "forward" else 3
    return {"flops": flops, "bytes": moved, "limit": factor * seconds}
