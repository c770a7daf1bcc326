"""The default space has all operators of this package, and no plug-in."""

from __future__ import annotations

import pytest
import torch

from rosearch import operators as ops
from rosearch.errors import RegistryError
from rosearch.space import SearchSpace


def own(kind: type) -> tuple[str, ...]:
    return tuple(n for n in ops.names(kind) if ops.get(n).__module__.startswith("rosearch."))


def test_defaults_are_the_operators_of_this_package() -> None:
    assert own(ops.Operator) == ops.OPERATORS
    assert own(ops.EmbeddingOperator) == ops.EMBEDDINGS


def test_plug_ins_join_only_the_spaces_that_name_them() -> None:
    before = SearchSpace()
    genomes = [before.sample(seed=seed) for seed in range(20)]

    class Negated(ops.Operator):
        def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return -hidden

    class Clamped(ops.EmbeddingOperator):
        def vectors(self, input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return self.tokens(input_ids).clamp(-1, 1)

    plug_ins = {"a_negated": Negated, "clamped": Clamped}
    try:
        for name, plug_in in plug_ins.items():
            ops.register(name)(plug_in)
        after = SearchSpace()
        assert after.settings == before.settings
        assert [after.sample(seed=seed) for seed in range(20)] == genomes
        larger = SearchSpace(
            operators=(*ops.OPERATORS, "a_negated"), embeddings=(*ops.EMBEDDINGS, "clamped")
        )
        assert set(larger.operators) - set(after.operators) == {"a_negated"}
        assert set(larger.embeddings) - set(after.embeddings) == {"clamped"}
    finally:
        for name in plug_ins:
            ops.registry.unregister(name)
    with pytest.raises(RegistryError):
        SearchSpace(operators=["a_negated"])
