"""Squeeze and excitation against its definition."""

from __future__ import annotations

import torch

from tests.operators.examples import make, text


def test_squeeze_excitation_gates_by_the_mean_of_the_real_tokens() -> None:
    operator = make("squeeze_excitation", 8, reduction=2)
    hidden, mask = text(3, 8)
    tokens = hidden[0, :3]
    inner = torch.relu(operator.squeeze(tokens.mean(dim=0)))
    expected = tokens * torch.sigmoid(operator.excite(inner))
    torch.testing.assert_close(operator(hidden, mask)[0, :3], expected)
