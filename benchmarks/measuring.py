"""What the benchmarks of operators and kernels share: batches, times, and this machine's limits."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

SHAPES = {"quick": [(64, 32, 128)], "full": [(64, 32, 128), (64, 128, 256), (256, 64, 384)]}
"""Batch, length and width."""

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def batch(shape: tuple[int, int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states and mask as distillation sees them: rows of similar length, some padding."""
    texts, length, _ = shape
    torch.manual_seed(0)
    lengths = torch.randint(length - length // 8, length + 1, (texts,))
    lengths[0] = length
    mask = torch.arange(length) < lengths[:, None]
    return torch.randn(shape).to(DEVICE), mask.to(DEVICE)


def synchronized(function: Callable[[], Any]) -> Callable[[], Any]:
    """``function``, waiting for the GPU where there is one."""
    if DEVICE.type != "cuda":
        return function

    def run() -> Any:
        out = function()
        torch.cuda.synchronize()
        return out

    return run


def least(function: Callable[[], Any], repeats: int = 7) -> float:
    """Seconds of the quickest of some calls."""
    run = synchronized(function)
    run()
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return min(times)


@cache
def limits() -> dict[str, float]:
    """Bytes and operations a second that this machine reaches: a copy, and a matrix product."""
    source = torch.empty(64 * 2**20, device=DEVICE)
    target = torch.empty_like(source)
    moved = 2 * source.numel() * source.element_size()
    side = 2048
    a, b = torch.randn(2, side, side, device=DEVICE)
    return {
        "bytes": moved / least(lambda: target.copy_(source)),
        "flops": 2 * side**3 / least(lambda: a @ b),
    }
