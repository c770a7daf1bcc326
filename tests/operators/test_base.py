"""Choices, defaults and registration of operators."""

from __future__ import annotations

import pytest
import torch

import rosearch.operators as ops
from rosearch.errors import GenomeError, RegistryError
from rosearch.operators.testing import OperatorConformance
from rosearch.space import SearchSpace


class TestComplete:
    def test_fills_defaults(self) -> None:
        assert ops.complete("attention", {}) == {"heads": 4}
        assert ops.complete("attention", {"heads": 2}) == {"heads": 2}

    def test_unknown_parameter_raises(self) -> None:
        with pytest.raises(GenomeError, match="'attention' has no parameter 'head'; known: heads"):
            ops.complete("attention", {"head": 2})

    def test_wrong_value_raises(self) -> None:
        with pytest.raises(GenomeError, match=r"heads of .* must be one of 1, 2, 3"):
            ops.complete("attention", {"heads": 5})

    def test_unknown_operator_raises(self) -> None:
        with pytest.raises(RegistryError, match="Did you mean 'attention'"):
            ops.complete("atention", {})


def test_plug_in_operator_registers_and_unregisters() -> None:
    @ops.register("shift")
    class Shift(ops.Operator):
        choices = {"distance": ops.Choice(1, 2, 30)}

        def __init__(self, width: int, *, distance: int) -> None:
            super().__init__(width)
            self.distance = distance

        def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            shifted = torch.nn.functional.pad(hidden, (0, 0, self.distance, 0))
            return shifted[:, : hidden.shape[1]]

    try:
        assert ops.get("shift") is Shift
        suite = OperatorConformance()
        suite.name = "shift"  # type: ignore[misc]
        suite.test_output_shape()
        suite.test_padding_changes_nothing()
        space = SearchSpace(operators=["shift"], nodes=(1, 2))
        assert space.sample(seed=0).nodes[0].parameters["distance"] in (1, 2, 30)
    finally:
        ops.registry.unregister("shift")
    assert "shift" not in ops.names()


def test_registry_accepts_operators_only() -> None:
    with pytest.raises(RegistryError, match=r"expected a subclass of rosearch\.Operator"):
        ops.register("number")(int)
