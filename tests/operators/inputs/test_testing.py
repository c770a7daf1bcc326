"""Built-in inputs pass the conformance suite."""

from __future__ import annotations

import pytest

import rosearch.operators as ops
from rosearch.operators.inputs.testing import (
    EmbeddingConformance,
)

BUILT_IN = (
    "character_embedding",
    "neighbour_smoothed_embedding",
    "subword_embedding",
    "synonym_code_embedding",
)


@pytest.mark.parametrize("name", BUILT_IN)
class TestConformance(EmbeddingConformance):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.name = name  # type: ignore[misc]


def test_all_built_in_inputs_are_covered() -> None:
    found = ops.names(ops.EmbeddingOperator)
    assert {n for n in found if ops.get(n).__module__.startswith("rosearch.")} == set(BUILT_IN)
    for name in BUILT_IN:
        assert ops.get(name).family == "embedding"
        assert ops.get(name).source
