"""Feed-forward operators against their definitions."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.operators.examples import make, text


@pytest.mark.parametrize(("gate", "function"), [("gelu", functional.gelu), ("silu", nn.SiLU())])
def test_gated_feed_forward_agrees_with_its_definition(gate: str, function: nn.Module) -> None:
    operator = make("gated_feed_forward", 4, expansion=2, gate=gate)
    hidden, mask = text(3, 4)
    weight, bias = operator.expand.weight, operator.expand.bias
    value = functional.linear(hidden, weight[:8], bias[:8])
    gating = functional.linear(hidden, weight[8:], bias[8:])
    expected = operator.contract(function(gating) * value)
    torch.testing.assert_close(operator(hidden, mask)[mask], expected[mask])
