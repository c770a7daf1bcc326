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


def test_every_operator_has_a_peer() -> None:
    assert sorted(peers.PEERS) == peers.built_in()


@pytest.mark.parametrize("side", peers.SIDES)
@pytest.mark.parametrize("name", peers.built_in())
@pytest.mark.parametrize("kind", peers.PASSES)
@pytest.mark.benchmark(min_rounds=5, max_time=0.5)
def test_operator(benchmark: Any, kind: str, name: str, side: str, shape: Any) -> None:
    benchmark.group = kind
    benchmark.extra_info.update(
        {
            "name": name,
            "side": side,
            "peer": peers.PEERS[name][0],
            "pass": kind,
            "shape": "x".join(map(str, shape)),
            **peers.least_work(name, kind, shape),
        }
    )
    out = benchmark(peers.task(name, side, kind, shape))
    assert out.shape == shape
    assert torch.isfinite(out).all()
