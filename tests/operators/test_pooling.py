"""Pooling of texts, and of windows of tokens."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import rosearch.operators as ops
from rosearch.errors import ArgumentError
from tests.operators.examples import make, text


def test_max_pooling_takes_the_largest_of_the_window() -> None:
    hidden, mask = text(5, 4)
    out = make("max_pooling", 4, window=3)(hidden, mask)
    for t in range(5):
        expected = hidden[0, max(t - 1, 0) : min(t + 2, 5)].amax(dim=0)
        assert torch.equal(out[0, t], expected)


def test_average_pooling_divides_by_real_tokens_only() -> None:
    operator = ops.get("average_pooling")(2, window=3)
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]])
    out = operator(hidden, torch.tensor([[True, True, False]]))
    torch.testing.assert_close(out[0, :2], torch.tensor([[2.0, 3.0], [2.0, 3.0]]))


@pytest.mark.parametrize("kind", ops.POOLINGS)
def test_pooling_ignores_padding(kind: str) -> None:
    hidden = torch.randn(1, 3, 4)
    padded = torch.cat([torch.full((1, 2, 4), 1e3), hidden, torch.full((1, 1, 4), 1e3)], dim=1)
    mask = torch.tensor([[False, False, True, True, True, False]])
    pool = ops.Pool(kind, width=4)
    if kind == "attention":
        nn.init.normal_(pool.scores)
    alone = pool(hidden, torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(pool(padded, mask), alone)


@pytest.mark.parametrize("kind", ops.POOLINGS)
def test_a_text_without_tokens_becomes_zeros(kind: str) -> None:
    hidden = torch.randn(2, 3, 4, requires_grad=True)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    pool = ops.Pool(kind, width=4)
    pooled = pool(hidden, mask)
    assert torch.equal(pooled[1], torch.zeros(4))
    torch.testing.assert_close(pooled[:1], pool(hidden[:1, :2], mask[:1, :2]))
    pooled.square().sum().backward()
    assert torch.isfinite(hidden.grad).all()


def test_attention_pooling_weighs_tokens() -> None:
    pool = ops.Pool("attention", width=2)
    hidden, mask = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), torch.ones(1, 2, dtype=torch.bool)
    torch.testing.assert_close(pool(hidden, mask), torch.full((1, 2), 0.5))
    with torch.no_grad():
        pool.scores[0] = 50.0
    torch.testing.assert_close(pool(hidden, mask), hidden[:, 0])


def test_unknown_pooling_raises() -> None:
    with pytest.raises(ArgumentError, match=r"kind must be one of 'mean', .*, got 'median'"):
        ops.Pool("median", width=3)
