"""The kernels' public functions on the device that is here, as shares of its copy bandwidth.

    pytest benchmarks/test_kernels.py --benchmark-only

On a CUDA device with Triton these are the Triton kernels, elsewhere PyTorch's operations. Each row
carries, in ``extra_info``, who computed it, the bytes that it must move at least, its
floating-point operations, and its share of the bandwidth that a large copy reached in the same run.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from kernel_cases import cases, forward, forward_and_backward
from measuring import limits, synchronized

from rosearch.operators.kernels import dispatch

NAMES = [case.name for case in cases((1, 2, 4), torch.float32)]
PASSES = {"forward": forward, "forward and backward": forward_and_backward}


@pytest.mark.parametrize("way", PASSES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.benchmark(min_rounds=5, max_time=0.5)
def test_kernel(benchmark: Any, name: str, way: str, shape: Any) -> None:
    benchmark.group = way
    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    case = next(case for case in cases(shape, dtype) if case.name == name)
    run = PASSES[way](case.function, case)
    out = benchmark(synchronized(run))
    moved = case.forward_bytes + (case.backward_bytes if way != "forward" else 0)
    info = {
        "dtype": str(dtype),
        "shape": "x".join(map(str, shape)),
        "triton": torch.cuda.is_available() and dispatch.triton_problem() is None,
        "bytes": moved,
        "flops": case.flops * (1 if way == "forward" else 3),
    }
    if benchmark.stats:  # none where benchmarks are only tried
        info["share of copy"] = moved / benchmark.stats.stats.min / limits()["bytes"]
    benchmark.extra_info |= info
    parts = out if isinstance(out, tuple) else (out,)
    assert all(torch.isfinite(part).all() for part in parts)
