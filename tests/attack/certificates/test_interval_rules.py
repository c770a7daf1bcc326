"""Interval arithmetic: every result of points in an interval lies in the interval of results."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from rosearch import operators as ops
from rosearch.attack.certificates.interval_rules import _log_sum_of_others
from rosearch.attack.certificates.intervals import Interval, NoRuleError

WIDTH = 16


def ball(middle: torch.Tensor, radius: float) -> tuple[Interval, list[torch.Tensor]]:
    """An interval around a tensor, and points in it: its ends, corners and others."""
    reach = torch.rand_like(middle) * radius
    low, high = middle - reach, middle + reach
    points = [low, high]
    for k in range(20):
        share = torch.rand_like(middle)
        points.append(low + (high - low) * (share if k % 2 else share.round()))
    return Interval(low, high), points


def holds(found: Interval, point: torch.Tensor, *, slack: float = 1e-9) -> bool:
    return bool((found.low - slack <= point).all() and (point <= found.high + slack).all())


@pytest.mark.parametrize("name", ops.names())
@pytest.mark.parametrize("radius", [0.0, 0.02, 0.5])
@torch.no_grad()
def test_every_operator(name: str, radius: float) -> None:
    torch.manual_seed(0)
    operator = ops.require(name, ops.Operator)(WIDTH, **ops.complete(name, {})).double().eval()
    for parameter in operator.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    mask = torch.ones(3, 9, dtype=torch.bool)
    mask[1, 5:] = mask[2, 1:] = False
    interval, points = ball(torch.randn(3, 9, WIDTH, dtype=torch.float64), radius)
    found = operator(interval, mask)
    assert found.shape == (3, 9, WIDTH)
    for point in points:
        out = operator(point, mask)[mask]
        # Relative positions and kernels are rounded to float32 by some.
        assert holds(Interval(found.low[mask], found.high[mask]), out, slack=1e-5)
    width = (found.high - found.low)[mask]
    assert width.max() < 1e-5 if radius == 0 else width.max() > 0


@pytest.mark.parametrize("name", ops.POOLINGS)
@torch.no_grad()
def test_every_pooling(name: str) -> None:
    torch.manual_seed(1)
    pool = ops.Pool(name, width=WIDTH).double()
    for parameter in pool.parameters():
        torch.nn.init.normal_(parameter)
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[1, 3:] = False
    interval, points = ball(torch.randn(2, 6, WIDTH, dtype=torch.float64), 0.3)
    for used in (mask, mask[:1].expand(2, -1)):
        found = pool(interval, used)
        assert all(holds(found, pool(point, used)) for point in points)


@pytest.mark.parametrize("kind", ops.MERGES)
@torch.no_grad()
def test_every_merge(kind: str) -> None:
    torch.manual_seed(2)
    merge = ops.Merge(kind, width=WIDTH, inputs=2).double()
    for parameter in merge.parameters():
        torch.nn.init.normal_(parameter)
    (first, these), (second, those) = (
        ball(torch.randn(2, 4, WIDTH, dtype=torch.float64), 0.3) for _ in range(2)
    )
    found = merge([first, second])
    assert all(holds(found, merge(list(pair))) for pair in zip(these, those, strict=True))


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "gelu": functional.gelu,
    "silu": functional.silu,
    "softmax": lambda x: torch.softmax(x, dim=-1),
    "layer norm": lambda x: functional.layer_norm(x, x.shape[-1:]),
    "product with itself": lambda x: x * x,
    "matrix product with itself": lambda x: x @ x.transpose(1, 2),
    "quotient": lambda x: x / (torch.sigmoid(x) + 1),
    "differences": lambda x: (1 - x) - (x - 2),
    "negative factor": lambda x: -0.5 * x / -3,
    "wide scores": lambda x: torch.softmax(800 * x, dim=-1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("radius", [1e-3, 0.5, 4.0])
def test_functions(name: str, radius: float) -> None:
    torch.manual_seed(3)
    interval, points = ball(torch.randn(2, 5, 6, dtype=torch.float64), radius)
    found = FUNCTIONS[name](interval)
    assert all(holds(found, FUNCTIONS[name](point)) for point in points)


@pytest.mark.parametrize("dim", [0, -1])
@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_log_sums_of_all_other_scores(scale: float, dim: int) -> None:
    torch.manual_seed(5)
    scores = scale * torch.randn(7, 7, dtype=torch.float64)
    scores[0, 1:] = scores[1:, 0] = -torch.inf  # of one real score and none beside it
    scores[2, 3] = scores[2, 5] = scores[3, 2] = scores[5, 2] = 2 * scale  # the largest, twice
    found = _log_sum_of_others(scores, dim).transpose(dim, -1)
    rows = scores.transpose(dim, -1)
    for k in range(7):
        others = torch.cat([rows[:, :k], rows[:, k + 1 :]], dim=1).logsumexp(dim=1)
        torch.testing.assert_close(found[:, k], others, rtol=1e-12, atol=1e-12)


def test_bounds_are_tight_where_they_can_be() -> None:
    torch.manual_seed(4)
    interval, _ = ball(torch.randn(7, WIDTH, dtype=torch.float64), 1.0)
    layer = torch.nn.Linear(WIDTH, 3).double()
    found = layer(interval)
    positive = layer.weight.clamp(min=0) @ interval.high[0] + layer.bias
    assert torch.allclose(found.high[0], positive + layer.weight.clamp(max=0) @ interval.low[0])
    normal = functional.layer_norm(interval, (WIDTH,))
    assert normal.high.max() <= (WIDTH - 1) ** 0.5
    grid = torch.linspace(-3, 3, 60001, dtype=torch.float64)
    for function in (functional.gelu, functional.silu):
        found = function(Interval(grid[:1], grid[-1:]))
        assert 0 <= float(function(grid).min() - found.low) < 1e-8
        assert float(found.high) == float(function(grid[-1]))


@torch.no_grad()
def test_attention_with_a_scale_and_masks() -> None:
    torch.manual_seed(5)
    interval, points = ball(torch.randn(2, 1, 5, 4, dtype=torch.float64), 0.2)
    visible = torch.tensor([True, True, False, True, False])
    added = torch.zeros(5, 5, dtype=torch.float64)
    added[:, 3] = torch.finfo(torch.float32).min
    for settings in (
        {"scale": 3.0},
        {"attn_mask": visible[None, None, None]},
        {"attn_mask": added},
    ):
        attend = partial(functional.scaled_dot_product_attention, **settings)
        found = attend(interval, interval, interval)
        assert all(holds(found, attend(point, point, point)) for point in points)


@pytest.mark.parametrize("mode", ["gru", "lstm"])
@torch.no_grad()
def test_recurrence_from_any_state(mode: str) -> None:
    torch.manual_seed(6)
    layer = {"gru": nn.GRU, "lstm": nn.LSTM}[mode](4, 3, batch_first=True).double()
    interval, points = ball(torch.randn(2, 5, 4, dtype=torch.float64), 0.2)
    state = torch.full((1, 2, 3), 3.0, dtype=torch.float64)
    start = state if mode == "gru" else (state, state)
    arguments = [*layer.all_weights[0]], True, 1, 0.0, False, False, True
    run = getattr(torch, mode)
    found = run(interval, start, *arguments)
    for point in points:
        out = run(point, start, *arguments)
        assert all(holds(a, b) for a, b in zip(found, out, strict=True))


def test_what_has_no_rule_says_so() -> None:
    interval = Interval(-torch.ones(2, 3), torch.ones(2, 3))
    for call in (
        lambda: torch.sin(interval),
        lambda: interval.cumsum(0),
        lambda: 1 / (interval + 0.5).reciprocal(),
        lambda: functional.gelu(interval, approximate="tanh"),
        lambda: torch.add(interval, interval, alpha=2),
        lambda: functional.layer_norm(interval, (2, 3)),
        lambda: interval.masked_fill(torch.ones(2, 3, dtype=torch.bool), interval[0, 0]),
        lambda: functional.scaled_dot_product_attention(
            interval, interval, interval, is_causal=True
        ),
        lambda: functional.silu(interval, inplace=True),
        lambda: functional.elu(interval, alpha=-1.0),
        lambda: functional.dropout(interval, training=True),
        lambda: interval.clamp_(max=0),
        lambda: torch.relu_(interval),
        lambda: torch.zeros(2, 3).add_(interval),
        lambda: interval.to(torch.long),
        lambda: torch.einsum("ab,ab,ab->a", interval, interval, interval),
        lambda: bool(interval == interval),
        lambda: interval or None,
        lambda: interval**2,
        lambda: len(interval),
        lambda: 1 / interval,
    ):
        with pytest.raises(NoRuleError):
            call()
