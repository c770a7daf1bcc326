"""Nodes keep their names through moves, JSON and graphs."""

from __future__ import annotations

import pytest

from rosearch.space import MUTATIONS, Genome, SearchSpace

SPACE = SearchSpace(nodes=(2, 12))
PARENTS = [SPACE.sample(seed=seed) for seed in range(30)]


def named(genome: Genome) -> dict[str, str]:
    """Operator by identity."""
    return {i: n.operator for i, n in zip(genome.identities, genome.nodes, strict=True)}


@pytest.mark.parametrize("kind", MUTATIONS)
def test_mutations_keep_them(kind: str) -> None:
    for seed, parent in enumerate(PARENTS):
        if kind in ("change_parameter", "change_merge", "remove", "insert"):
            parent = SearchSpace(nodes=(8, 10)).sample(seed=seed)
        child = SPACE.mutate(parent, seed=seed, kind=kind)
        before, after = named(parent), named(child)
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


def test_a_change_of_width_changes_the_operators_that_no_longer_fit() -> None:
    attention = {"attention": {"heads": (12,)}, "convolution": {}}
    space = SearchSpace(operators=attention, nodes=(4, 8), widths=(96, 128))
    both = 0
    for seed in range(20):
        parent = space.sample(seed=seed)
        child = space.mutate(parent, seed=seed, kind="change_width")
        before, after = named(parent), named(child)
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


def test_crossover_takes_names_from_both() -> None:
    mixed = 0
    for seed in range(60):
        a, b = PARENTS[seed % 30], PARENTS[(seed * 7 + 3) % 30]
        child = SPACE.crossover(a, b, seed=seed)
        first, second, after = named(a), named(b), named(child)
        assert len(after) == len(child.nodes)
        assert set(after) <= set(first) | set(second)
        mixed += bool(set(after) & set(first)) and bool(set(after) & set(second))
    assert mixed > 15


def test_crossover_of_relatives_gives_no_name_twice() -> None:
    for seed in range(60):
        a = PARENTS[seed % 30]
        b = SPACE.mutate(a, seed=seed)
        child = SPACE.crossover(a, b, seed=seed)
        assert len(set(child.identities)) == len(child.nodes)
        assert Genome.from_json(child.to_json()).identities == child.identities


def test_round_trips_keep_them() -> None:
    for genome in PARENTS:
        assert Genome.from_json(genome.to_json()).identities == genome.identities
        again = Genome.from_graph(genome.graph())
        assert named(again) == named(genome)
        assert named(genome.ordered()) == named(genome)


def test_unnamed_nodes_are_named_alike_in_every_numbering() -> None:
    for genome in PARENTS:
        bare = Genome.from_dict(
            genome.to_dict()
            | {"nodes": [{k: v for k, v in n.items() if k != "identity"}
                         for n in genome.to_dict()["nodes"]]}
        )  # fmt: skip
        assert named(bare) == named(bare.ordered())
        assert all(name.startswith(bare.key) for name in bare.identities)
