"""Devices on which Triton kernels can be tested: a CPU with Triton's interpreter, or CUDA."""

from __future__ import annotations

import os

import pytest
import torch


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def place(request: pytest.FixtureRequest) -> torch.device:
    """Device on which ``kernels.use("triton")`` computes."""
    pytest.importorskip("triton", reason="Triton is not installed")
    if request.param == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("Triton's interpreter is off: there is a GPU, or TRITON_INTERPRET says so")
    return torch.device(request.param)
