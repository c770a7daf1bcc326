"""Every registered operator against what one would take from PyTorch or Hugging Face instead.

    pytest benchmarks/test_operators.py --benchmark-only                  # one small shape
    pytest benchmarks/test_operators.py --benchmark-only --shapes full    # all three

Each operator and its peer (see ``peers.py``) run one after the other on the same padded batch,
forward in inference mode, then forward and backward. The table at the end gives the peer's least
time over ours (above 1: ours is faster), and the share of the limit that ours reaches: the time
that this machine needs at least for the operator's floating-point operations at the rate of a
large matrix product, or for its bytes at the rate of a copy, whichever is more. Bytes are those of
input, output and parameters, each once; a backward pass counts as twice the forward pass.
"""

from __future__ import annotations

from typing import Any

import peers
import pytest
import torch
from measuring import DEVICE, batch, limits, synchronized

import rosearch.operators as ops

SIDES = ("rosearch", "peer")


def build(name: str, side: str, width: int) -> torch.nn.Module:
    torch.manual_seed(0)
    parameters = ops.complete(name, {})
    if side == "peer":
        return peers.PEERS[name][1](width, **parameters).to(DEVICE)
    return ops.get(name)(width, **parameters).to(DEVICE)


def note(benchmark: Any, name: str, side: str, shape: tuple[int, ...]) -> None:
    texts, length, width = shape
    parameters = ops.complete(name, {})
    cost = ops.cost(name, width, length=length, **parameters)
    rates = limits()
    flops = cost.flops_per_token * texts * length
    moved = 4 * (2 * texts * length * width + cost.parameters)
    passes = 3 if benchmark.group == "forward and backward" else 1
    benchmark.extra_info.update(
        {
            "name": name,
            "side": side,
            "peer": peers.PEERS[name][0],
            "pass": benchmark.group,
            "shape": "x".join(map(str, shape)),
            "flops": flops,
            "bytes": moved,
            "limit": passes * max(flops / rates["flops"], moved / rates["bytes"]),
        }
    )


def built_in() -> list[str]:
    """Plug-ins that happen to be installed have no peer."""
    return [n for n in ops.names() if ops.get(n).__module__.startswith("rosearch.")]


def test_every_operator_has_a_peer() -> None:
    assert sorted(peers.PEERS) == built_in()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", built_in())
@pytest.mark.benchmark(group="forward", min_rounds=5, max_time=0.5)
def test_forward(benchmark: Any, name: str, side: str, shape: Any) -> None:
    operator = build(name, side, shape[-1]).eval()
    hidden, mask = batch(shape)
    note(benchmark, name, side, shape)
    with torch.inference_mode():
        out = benchmark(synchronized(lambda: operator(hidden, mask)))
    assert out.shape == hidden.shape
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", built_in())
@pytest.mark.benchmark(group="forward and backward", min_rounds=5, max_time=0.5)
def test_forward_and_backward(benchmark: Any, name: str, side: str, shape: Any) -> None:
    operator = build(name, side, shape[-1])
    hidden, mask = batch(shape)
    hidden.requires_grad_()
    weights = torch.randn_like(hidden)
    note(benchmark, name, side, shape)

    def step() -> torch.Tensor:
        operator.zero_grad(set_to_none=True)
        hidden.grad = None
        operator(hidden, mask).backward(weights)
        assert hidden.grad is not None
        return hidden.grad

    assert torch.isfinite(benchmark(synchronized(step))).all()
