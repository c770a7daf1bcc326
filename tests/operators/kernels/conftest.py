"""Where Triton's kernels can be tested: its interpreter on a CPU, or a CUDA device."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

from rosearch.operators import kernels


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def place(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """A device on which ``kernels.use("triton")`` computes."""
    pytest.importorskip("triton", reason="Triton is not installed")
    if request.param == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("Triton's interpreter is off: there is a GPU, or TRITON_INTERPRET says so")
    yield torch.device(request.param)
    # Tests ask for backends in blocks of their own.
    assert kernels.backend(kernels.gated_activation, torch.zeros(2, 2)) == "torch"
