"""Kinds of mutation: what they change, and which node identities they keep."""

from __future__ import annotations

import pytest

from rosearch.errors import ArgumentError, SpaceError
from rosearch.space import MUTATIONS, Genome, Node, SearchSpace
from tests.space.spaces import operators_by_identity

SPACE = SearchSpace(nodes=(2, 12))
PARENTS = [SPACE.sample(seed=seed) for seed in range(30)]


@pytest.mark.parametrize("kind", MUTATIONS)
def test_each_kind_changes_one_thing(kind: str) -> None:
    space = SearchSpace(nodes=(0, 8))
    nodes = (
        Node("attention"),
        Node("convolution", inputs=(0,)),
        Node("feed_forward", inputs=(1, 2), residual=False),
    )
    parent = Genome(width=128, embedding_width=64, nodes=nodes)
    for seed in range(10):
        child = space.mutate(parent, seed=seed, kind=kind)
        genes = ("width", "embedding_width", "embedding", "pooling")
        changed = {g for g in genes if getattr(child, g) != getattr(parent, g)}
        operators = sorted(n.operator for n in child.nodes)
        before = sorted(n.operator for n in parent.nodes)
        delta = len(child.nodes) - len(parent.nodes)
        expected = {"change_width": {"width"}, "change_embedding_width": {"embedding_width"}}
        expected |= {"change_pooling": {"pooling"}, "change_embedding": {"embedding"}}
        assert changed == expected.get(kind, set())
        assert delta == {"insert": 1, "remove": -1}.get(kind, 0)
        assert (operators != before) == (kind in ("change_operator", "insert", "remove"))
        edges = child.graph().edges != parent.graph().edges
        assert not edges or kind in ("insert", "remove", "rewire")
        if kind == "toggle_residual":
            assert sum(n.residual for n in child.nodes) in (1, 3)
        if kind == "change_merge":
            assert child.nodes[2].merge != "sum"
        if kind == "change_parameter":
            pairs = zip(child.nodes, parent.nodes, strict=True)
            assert sum(a.parameters != b.parameters for a, b in pairs) == 1


def test_insert_splits_one_edge() -> None:
    space = SearchSpace(operators=["identity"], widths=(64,), embedding_widths=(32,))
    parent = Genome(width=64, embedding_width=32, nodes=(Node("identity"),))
    child = space.mutate(parent, seed=0, kind="insert")
    assert [n.inputs for n in child.nodes] == [(0,), (1,)]
    assert child.outputs == (2,)


def test_removing_nodes_leaves_no_dead_node() -> None:
    space = SearchSpace(max_inputs=2)
    for seed in range(200):
        genome = space.sample(seed=seed)
        while genome.nodes:
            genome = space.mutate(genome, seed=seed, kind="remove")
    assert genome.outputs == (0,)


@pytest.mark.parametrize("kind", MUTATIONS)
def test_each_kind_keeps_identities(kind: str) -> None:
    for seed, parent in enumerate(PARENTS):
        if kind in ("change_parameter", "change_merge", "remove", "insert"):
            parent = SearchSpace(nodes=(8, 10)).sample(seed=seed)
        child = SPACE.mutate(parent, seed=seed, kind=kind)
        before, after = operators_by_identity(parent), operators_by_identity(child)
        assert len(after) == len(child.nodes)
        new, gone = set(after) - set(before), set(before) - set(after)
        assert len(new) == (kind == "insert")
        assert len(gone) == (kind == "remove")
        changed = {i for i in set(before) & set(after) if before[i] != after[i]}
        # A node whose operator changes keeps its name: what fits of its weights may still serve.
        if kind == "change_operator":
            assert len(changed) == 1
        else:
            assert not changed


def test_change_of_width_replaces_operators_that_do_not_fit() -> None:
    attention = {"attention": {"heads": (12,)}, "convolution": {}}
    space = SearchSpace(operators=attention, nodes=(4, 8), widths=(96, 128))
    both = 0
    for seed in range(20):
        parent = space.sample(seed=seed)
        child = space.mutate(parent, seed=seed, kind="change_width")
        before, after = operators_by_identity(parent), operators_by_identity(child)
        assert set(before) == set(after)
        changed = {i for i in before if before[i] != after[i]}
        assert changed == {i for i in before if not space.fitting(before[i], child.width)}
        both += 0 < len(changed) < len(before)
    assert both > 3


def test_inserted_nodes_are_residual_and_read_one_node() -> None:
    for seed, parent in enumerate(PARENTS):
        child = SPACE.mutate(parent, seed=seed, kind="insert") if len(parent.nodes) < 12 else None
        if child is None:
            continue
        (new,) = set(child.identities) - set(parent.identities)
        node = child.nodes[child.identities.index(new)]
        assert node.residual
        assert len(node.inputs) == 1


def test_genome_without_neighbours() -> None:
    space = SearchSpace(
        operators=["identity"], nodes=(1, 1), widths=(16,), embedding_widths=(8,),
        poolings=("mean",),
    )  # fmt: skip
    genome = Genome(width=16, embedding_width=8, nodes=(Node("identity", residual=False),))
    with pytest.raises(SpaceError, match="has no neighbour by change_width"):
        space.mutate(genome, seed=0, kind="change_width")
    with pytest.raises(ArgumentError, match=r"kind must be one of 'change_operator', .* 'grow'"):
        space.mutate(genome, seed=0, kind="grow")
