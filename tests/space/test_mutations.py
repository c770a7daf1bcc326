"""Kinds of mutation: what they change, and which node identities they keep."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rosearch.errors import ArgumentError, SpaceError
from rosearch.space import MUTATIONS, Genome, Node, SearchSpace, TextEncoding
from tests.space.spaces import operators_by_identity

OF_GRAPHS = [kind for kind in MUTATIONS if kind not in ("change_encoding", "change_bound")]
SPACE = SearchSpace(nodes=(2, 12))
PARENTS = [SPACE.sample(seed=seed) for seed in range(30)]


@pytest.mark.parametrize("kind", OF_GRAPHS)
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


@pytest.mark.parametrize("kind", OF_GRAPHS)
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


@pytest.mark.usefixtures("encodings")
def test_change_of_encoding_is_one_change() -> None:
    names = ("lower_case", "merged", "shortened")
    space = SearchSpace(encodings=names, nodes=(0, 2), widths=(64,))

    def neighbours(*encodings: TextEncoding | str) -> set[str]:
        parent = Genome(width=64, embedding_width=32, encodings=encodings)
        children = [space.mutate(parent, seed=s, kind="change_encoding") for s in range(200)]
        assert all(replace(c, encodings=()) == replace(parent, encodings=()) for c in children)
        assert all(child in space for child in children)
        return {" ".join(map(str, child.encodings)) for child in children}

    merged = {f"merged(strength={s})" for s in (0.05, 0.1, 0.2, 0.5)}
    shortened = {f"shortened(length={n}, side={s})" for n in (4, 8) for s in ("left", "right")}
    assert neighbours() == {"lower_case", *merged, *shortened}
    assert neighbours("lower_case", "merged") == {
        *(f"lower_case {name}" for name in merged - {"merged(strength=0.05)"}),
        *(f"{name} merged(strength=0.05)" for name in shortened),
        "lower_case",
        "merged(strength=0.05)",
    }
    assert neighbours("shortened") == {
        "",
        "lower_case",
        "shortened(length=8, side=left)",
        "shortened(length=4, side=right)",
        *(f"shortened(length=4, side=left) {name}" for name in merged),
    }


@pytest.mark.usefixtures("encodings")
def test_encodings_change_among_other_mutations() -> None:
    space = SearchSpace(encodings=["merged"])
    parent = space.sample(seed=0)
    children = [space.mutate(parent, seed=seed) for seed in range(300)]
    changed = sum(child.encodings != parent.encodings for child in children)
    assert 0.4 * 300 / len(MUTATIONS) < changed < 2 * 300 / len(MUTATIONS)


def test_spaces_without_encodings_have_no_change_of_encoding() -> None:
    with pytest.raises(SpaceError, match="has no neighbour by change_encoding"):
        SPACE.mutate(PARENTS[0], seed=0, kind="change_encoding")
