"""Lightweight and dynamic convolutions against their definitions."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tests.operators.examples import make, naive_windows, text


@pytest.mark.parametrize("name", ["lightweight_convolution", "dynamic_convolution"])
def test_light_convolutions_agree_with_their_definition(name: str) -> None:
    operator, length, size = make(name, 8, kernel_size=3, heads=4), 6, 3
    hidden, mask = text(length, 8)
    gated = functional.glu(operator.projection_in(hidden[0, :length]), dim=-1)
    if name == "lightweight_convolution":
        logits = operator.kernels.expand(length, 4, size)
    else:
        logits = operator.prediction(gated).reshape(length, 4, size)
    # Channels 2h and 2h + 1 belong to head h.
    kernels = torch.softmax(logits, dim=2)[:, [0, 0, 1, 1, 2, 2, 3, 3]]
    expected = operator.projection_out(naive_windows(gated, kernels))
    out = operator(hidden, mask)[0, :length]
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
