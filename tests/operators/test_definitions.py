"""Operators against their definitions, written token by token or taken from another library."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

import rosearch.operators as ops
from rosearch.operators.attention import LONG, attend
from rosearch.operators.base import Operator
from rosearch.operators.recurrent import CHUNK, scan


def make(name: str, width: int, **parameters: object) -> Operator:
    torch.manual_seed(0)
    operator: Operator = ops.get(name)(width, **ops.complete(name, parameters)).eval()
    return operator


def text(length: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """One text in a padded batch beside a longer one."""
    torch.manual_seed(1)
    mask = torch.ones(2, length + 3, dtype=torch.bool)
    mask[0, length:] = False
    return torch.randn(2, length + 3, width), mask


def heads_of(operator: nn.Module, tokens: torch.Tensor, heads: int) -> torch.Tensor:
    """Query, key and value ``(3, heads, length, channels)``, each head cut out by hand."""
    width = tokens.shape[1]
    fused = operator.projection_in(tokens)
    return torch.stack(
        [torch.stack(list(part.split(width // heads, dim=1))) for part in fused.split(width, dim=1)]
    )


def test_attention_agrees_with_torch() -> None:
    operator = make("attention", 12, heads=3)
    theirs = nn.MultiheadAttention(12, 3, batch_first=True)
    state = {
        "in_proj_weight": operator.projection_in.weight,
        "in_proj_bias": operator.projection_in.bias,
        "out_proj.weight": operator.projection_out.weight,
        "out_proj.bias": operator.projection_out.bias,
    }
    theirs.load_state_dict(state)
    hidden, mask = text(5, 12)
    expected, _ = theirs(hidden, hidden, hidden, key_padding_mask=~mask)
    torch.testing.assert_close(operator(hidden, mask)[mask], expected[mask])


@pytest.mark.parametrize("buckets", [16, 32])
def test_relative_attention_takes_the_buckets_of_t5(buckets: int) -> None:
    from transformers.models.t5.modeling_t5 import T5Attention

    distance = torch.arange(-600, 601)
    theirs = T5Attention._relative_position_bucket(
        distance, bidirectional=True, num_buckets=buckets, max_distance=128
    )
    assert torch.equal(make("relative_attention", 8, buckets=buckets).bucket(distance), theirs)


def test_relative_attention_adds_a_bias_to_each_score() -> None:
    operator, length = make("relative_attention", 8, heads=2, buckets=16), 30
    hidden, mask = text(length, 8)
    query, key, value = heads_of(operator, hidden[0, :length], 2)
    mixed = torch.zeros(length, 8)
    for head in range(2):
        for i in range(length):
            scores = torch.stack(
                [
                    query[head, i] @ key[head, j] / math.sqrt(4)
                    + operator.biases.weight[operator.bucket(torch.tensor(j - i)), head]
                    for j in range(length)
                ]
            )
            mixed[i, 4 * head : 4 * head + 4] = torch.softmax(scores, dim=0) @ value[head]
    out = operator(hidden, mask)[0, :length]
    torch.testing.assert_close(out, operator.projection_out(mixed), rtol=1e-4, atol=1e-5)


def test_linear_attention_weighs_by_products_of_features() -> None:
    operator, length = make("linear_attention", 8, heads=2), 6
    hidden, mask = text(length, 8)
    query, key, value = heads_of(operator, hidden[0, :length], 2)
    mixed = torch.zeros(length, 8)
    for head in range(2):
        for i in range(length):
            weights = torch.stack(
                [
                    (functional.elu(query[head, i]) + 1) @ (functional.elu(key[head, j]) + 1)
                    for j in range(length)
                ]
            )
            mixed[i, 4 * head : 4 * head + 4] = weights / weights.sum() @ value[head]
    out = operator(hidden, mask)[0, :length]
    torch.testing.assert_close(out, operator.projection_out(mixed), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [1, 4, 7])
def test_fourier_mixing_is_the_real_part_of_a_fast_transform(length: int) -> None:
    hidden, mask = text(length, 12)
    out = make("fourier_mixing", 12)(hidden, mask)
    for row, count in ((0, length), (1, length + 3)):
        expected = torch.fft.fft2(hidden[row, :count], norm="ortho").real
        torch.testing.assert_close(out[row, :count], expected, rtol=1e-4, atol=1e-5)


def test_fourier_mixing_keeps_its_digits_in_a_long_text() -> None:
    hidden = torch.randn(1, 512, 16)
    out = make("fourier_mixing", 16)(hidden, torch.ones(1, 512, dtype=torch.bool))
    expected = torch.fft.fft2(hidden.double(), norm="ortho").real
    torch.testing.assert_close(out.double(), expected, rtol=1e-4, atol=1e-5)


def naive_windows(
    tokens: torch.Tensor, kernels: torch.Tensor, *, dilation: int = 1
) -> torch.Tensor:
    """``out[t, c] = sum_k kernels[t, c, k] * tokens[t + dilation * (k - half), c]``."""
    length, width = tokens.shape
    half = kernels.shape[2] // 2
    out = torch.zeros(length, width)
    for t in range(length):
        for k in range(kernels.shape[2]):
            place = t + dilation * (k - half)
            if 0 <= place < length:
                out[t] += kernels[t, :, k] * tokens[place]
    return out


@pytest.mark.parametrize("name", ["depthwise_convolution", "separable_convolution"])
def test_depthwise_convolutions_agree_with_their_definition(name: str) -> None:
    operator, length = make(name, 4, kernel_size=5), 6
    hidden, mask = text(length, 4)
    weight = operator.depthwise.weight[:, 0].expand(length, 4, 5)
    mixed = naive_windows(hidden[0, :length], weight) + operator.depthwise.bias
    if name == "separable_convolution":
        mixed = operator.pointwise(mixed)
    out = operator(hidden, mask)[0, :length]
    torch.testing.assert_close(out, functional.gelu(mixed), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["convolution", "dilated_convolution"])
@pytest.mark.parametrize("size", [3, 5])
def test_convolutions_agree_with_their_definition(name: str, size: int) -> None:
    dilation = 4 if name == "dilated_convolution" else 1
    extra = {"dilation": 4} if name == "dilated_convolution" else {}
    operator, length = make(name, 6, kernel_size=size, **extra), 11
    hidden, mask = text(length, 6)
    weight, bias = operator.convolution.weight, operator.convolution.bias
    expected = bias.expand(length, 6).clone()
    for t in range(length):
        for k in range(size):
            place = t + dilation * (k - size // 2)
            if 0 <= place < length:
                expected[t] += weight[:, :, k] @ hidden[0, place]
    out = operator(hidden, mask)[0, :length]
    torch.testing.assert_close(out, functional.gelu(expected), rtol=1e-4, atol=1e-5)


def test_depthwise_convolutions_start_with_the_variance_of_their_input() -> None:
    for name in ("depthwise_convolution", "separable_convolution"):
        for size in (3, 5, 7):
            layer = make(name, 512, kernel_size=size).depthwise
            hidden = torch.randn(1, 512, 200)
            assert layer(hidden).var().item() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("name", ["lightweight_convolution", "dynamic_convolution"])
def test_light_convolutions_agree_with_their_definition(name: str) -> None:
    operator, length, size = make(name, 8, kernel_size=3, heads=4), 6, 3
    hidden, mask = text(length, 8)
    gated = functional.glu(operator.projection_in(hidden[0, :length]), dim=-1)
    if name == "lightweight_convolution":
        logits = operator.kernels.expand(length, 4, size)
    else:
        logits = operator.prediction(gated).reshape(length, 4, size)
    # Channels 2h and 2h + 1 belong to head h.
    kernels = torch.softmax(logits, dim=2)[:, [0, 0, 1, 1, 2, 2, 3, 3]]
    expected = operator.projection_out(naive_windows(gated, kernels))
    out = operator(hidden, mask)[0, :length]
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("gate", "function"), [("gelu", functional.gelu), ("silu", nn.SiLU())])
def test_gated_feed_forward_agrees_with_its_definition(gate: str, function: nn.Module) -> None:
    operator = make("gated_feed_forward", 4, expansion=2, gate=gate)
    hidden, mask = text(3, 4)
    weight, bias = operator.expand.weight, operator.expand.bias
    value = functional.linear(hidden, weight[:8], bias[:8])
    gating = functional.linear(hidden, weight[8:], bias[8:])
    expected = operator.contract(function(gating) * value)
    torch.testing.assert_close(operator(hidden, mask)[mask], expected[mask])


@pytest.mark.parametrize(
    ("name", "layer"), [("bidirectional_gru", nn.GRU), ("bidirectional_lstm", nn.LSTM)]
)
def test_recurrences_agree_with_torch_on_packed_texts(name: str, layer: type[nn.RNNBase]) -> None:
    operator = make(name, 8)
    theirs = layer(8, 4, batch_first=True, bidirectional=True)
    state = dict(operator.ahead.state_dict())
    state |= {f"{key}_reverse": value for key, value in operator.back.state_dict().items()}
    theirs.load_state_dict(state)
    hidden, mask = text(4, 8)
    packed = nn.utils.rnn.pack_padded_sequence(
        hidden, mask.sum(dim=1), batch_first=True, enforce_sorted=False
    )
    expected, _ = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    torch.testing.assert_close(operator(hidden, mask), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [1, 5, CHUNK + 4])
def test_minimal_gru_agrees_with_its_definition(length: int) -> None:
    operator = make("minimal_gru", 5)
    hidden, mask = text(length, 5)
    gates, candidates = operator.projection(hidden[0, :length]).chunk(2, dim=1)
    gates = torch.sigmoid(gates)
    expected = torch.zeros(length, 5)
    for channel in range(5):
        state = torch.zeros(())
        order = range(length) if channel < 2 else reversed(range(length))
        for t in order:
            state = (1 - gates[t, channel]) * state + gates[t, channel] * candidates[t, channel]
            expected[t, channel] = state
    out = operator(hidden, mask)[0, :length]
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 3])
@pytest.mark.parametrize("traced", [False, True])
def test_scan_agrees_with_going_token_by_token(
    length: int, traced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rosearch.operators.recurrent.tracing", lambda: traced)
    torch.manual_seed(length)
    # Gates that forget everything, keep everything, and all between.
    keep = torch.rand(2, length, 3).mul(1.4).sub(0.2).clamp(0, 1).requires_grad_()
    add = torch.randn(2, length, 3, requires_grad=True)
    states = [torch.zeros(2, 3)]
    for t in range(length):
        states.append(keep[:, t] * states[-1] + add[:, t])
    expected, out = torch.stack(states[1:], dim=1), scan(keep, add)
    torch.testing.assert_close(out, expected)
    weights = torch.randn_like(out)
    ours = torch.autograd.grad(out, (keep, add), weights)
    theirs = torch.autograd.grad(expected, (keep, add), weights)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_squeeze_excitation_gates_by_the_mean_of_the_real_tokens() -> None:
    operator = make("squeeze_excitation", 8, reduction=2)
    hidden, mask = text(3, 8)
    tokens = hidden[0, :3]
    inner = torch.relu(operator.squeeze(tokens.mean(dim=0)))
    expected = tokens * torch.sigmoid(operator.excite(inner))
    torch.testing.assert_close(operator(hidden, mask)[0, :3], expected)


def test_max_pooling_takes_the_largest_of_the_window() -> None:
    hidden, mask = text(5, 4)
    out = make("max_pooling", 4, window=3)(hidden, mask)
    for t in range(5):
        expected = hidden[0, max(t - 1, 0) : min(t + 2, 5)].amax(dim=0)
        assert torch.equal(out[0, t], expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["none", "mask", "bias"])
@pytest.mark.parametrize("length", [5, LONG + 1])
def test_attend_is_attention(dtype: torch.dtype, kind: str, length: int) -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 3, length, 8).to(dtype).requires_grad_().unbind(0)
    bias = None
    if kind == "mask":
        bias = (torch.arange(length) < torch.tensor([[length], [length - 2]]))[:, None, None, :]
    elif kind == "bias":
        bias = torch.randn(1, 3, length, length, dtype=dtype)
    weights = torch.randn(2, 3, length, 8, dtype=dtype)
    found = []
    for function in (attend, functional.scaled_dot_product_attention):
        out = function(query, key, value, bias)
        found.append((out, *torch.autograd.grad((out * weights).sum(), (query, key, value))))
        with torch.no_grad():
            found[-1] += (function(query, key, value, bias),)
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0.1, "atol": 0.1}
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, **close)
