"""Attention operators against their definitions and against torch and T5."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from rosearch.operators.attention import LONG, attend
from tests.operators.examples import make, text


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
