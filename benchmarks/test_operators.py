"""Time of every registered operator, forward and backward, on one batch of 32 texts.

    pytest benchmarks --benchmark-only

The batch is what distillation sees: rows of similar length with little padding. Compare rows of the
table with each other: ``feed_forward`` is two matrix products and nothing else, so its time is
what this machine does with its matrix units.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

import rosearch.operators as ops

BATCH, LENGTH, WIDTH = 32, 32, 128


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    lengths = torch.randint(LENGTH - 4, LENGTH + 1, (BATCH,))
    lengths[0] = LENGTH
    mask = torch.arange(LENGTH) < lengths[:, None]
    return torch.randn(BATCH, LENGTH, WIDTH), mask


@pytest.mark.parametrize("name", ops.names())
@pytest.mark.benchmark(group="forward", min_rounds=3)
def test_forward(benchmark: Any, name: str) -> None:
    operator = ops.get(name)(WIDTH, **ops.complete(name, {})).eval()
    hidden, mask = batch()
    with torch.inference_mode():
        out = benchmark(operator, hidden, mask)
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("name", ops.names())
@pytest.mark.benchmark(group="forward and backward", min_rounds=3)
def test_forward_and_backward(benchmark: Any, name: str) -> None:
    operator = ops.get(name)(WIDTH, **ops.complete(name, {}))
    hidden, mask = batch()
    hidden.requires_grad_()

    def step() -> torch.Tensor:
        operator.zero_grad(set_to_none=True)
        hidden.grad = None
        operator(hidden, mask).square().mean().backward()
        assert hidden.grad is not None
        return hidden.grad

    assert torch.isfinite(benchmark(step)).all()
