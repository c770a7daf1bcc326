"""Crossover: fields and node identities of both parents."""

from __future__ import annotations

from collections import Counter

import pytest

from rosearch.space import Genome, SearchSpace, templates
from tests.space.spaces import operators_by_identity

SPACE = SearchSpace(nodes=(2, 12))
PARENTS = [SPACE.sample(seed=seed) for seed in range(30)]


def test_children_mix_both_parents() -> None:
    space = SearchSpace()
    a = templates.text_cnn(width=64, embedding_width=32)
    b = templates.transformer(width=160, embedding_width=128)
    children = [space.crossover(a, b, seed=seed) for seed in range(60)]
    operators = [{n.operator for n in c.nodes} for c in children]
    assert any("convolution" in o and "attention" in o for o in operators)
    assert {c.width for c in children} == {64, 160}
    assert len({c.key for c in children}) > 20


def test_identities_come_from_both_parents() -> None:
    mixed = 0
    for seed in range(60):
        a, b = PARENTS[seed % 30], PARENTS[(seed * 7 + 3) % 30]
        child = SPACE.crossover(a, b, seed=seed)
        first, second, after = (
            operators_by_identity(a),
            operators_by_identity(b),
            operators_by_identity(child),
        )
        assert len(after) == len(child.nodes)
        assert set(after) <= set(first) | set(second)
        mixed += bool(set(after) & set(first)) and bool(set(after) & set(second))
    assert mixed > 15


def test_children_of_relatives_have_distinct_identities() -> None:
    for seed in range(60):
        a = PARENTS[seed % 30]
        b = SPACE.mutate(a, seed=seed)
        child = SPACE.crossover(a, b, seed=seed)
        assert len(set(child.identities)) == len(child.nodes)
        assert Genome.from_json(child.to_json()).identities == child.identities


@pytest.mark.usefixtures("encodings")
def test_each_level_of_encodings_comes_from_either_parent() -> None:
    space = SearchSpace(encodings=["lower_case", "merged", "shortened"])
    a = templates.text_cnn(encodings=("lower_case", "merged"))  # type: ignore[arg-type]
    b = templates.text_cnn(encodings=("shortened",))  # type: ignore[arg-type]
    children = [space.crossover(a, b, seed=seed) for seed in range(60)]
    found = Counter(tuple(e.name for e in child.encodings) for child in children)
    assert set(found) == {
        ("lower_case",), ("lower_case", "merged"), ("shortened",), ("shortened", "merged"),
    }  # fmt: skip
    assert min(found.values()) > 5
