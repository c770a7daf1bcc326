"""Keys and canonical orders: equal exactly for isomorphic graphs, as networkx decides."""

from __future__ import annotations

import hashlib
import itertools
import time
from dataclasses import replace

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rosearch.space import Genome, Node, SearchSpace, TextEncoding
from rosearch.space.canonical import canonical_form, node_labels, topological_order
from tests.space.spaces import NARROW, SMALL, diamond, is_isomorphic, renumbered


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**9), shuffle=st.integers(0, 10**6))
def test_key_and_order_do_not_depend_on_the_numbering(seed: int, shuffle: int) -> None:
    genome = SearchSpace().sample(seed=seed)
    other = renumbered(genome, shuffle)
    assert other.key == genome.key
    assert other.ordered() == genome.ordered()
    assert all(max(n.inputs) < i for i, n in enumerate(other.ordered().nodes, start=1))


def test_keys_are_equal_exactly_for_isomorphic_graphs() -> None:
    genomes = [SMALL.sample(seed=seed) for seed in range(50)]
    genomes += [SMALL.mutate(g, seed=1) for g in genomes[:15]]
    genomes += [renumbered(g, 3) for g in genomes[:15]]
    equal = 0
    for a, b in itertools.combinations(genomes, 2):
        same = is_isomorphic(a, b)
        assert same == (a.key == b.key), f"{a}\n{b}"
        equal += same
    assert equal > 15  # so that both answers occurred


@pytest.mark.parametrize("count", [150, pytest.param(2000, marks=pytest.mark.exhaustive)])
def test_key_of_hard_pairs(count: int) -> None:
    # Nodes of one kind, so that only the edges tell graphs apart, and all kinds of genes; each
    # with a mutant, the mutant's mutant, which is often the genome again, and renumberings.
    plain = SearchSpace(
        operators=["identity"], nodes=(3, 9), widths=(16,), embedding_widths=(8,),
        embeddings=["subword_embedding"], poolings=("mean",), merges=("sum",),
    )  # fmt: skip
    answers = {True: 0, False: 0}
    for seed in range(count):
        space = (plain, SMALL, SearchSpace())[seed % 3]
        genome = space.sample(seed=seed)
        if space is plain:
            kinds = ("rewire", "toggle_residual", "rewire")
            still = [replace(node, residual=False, identity="") for node in genome.nodes]
            genome = replace(genome, nodes=tuple(still))
            child = space.mutate(genome, seed=seed, kind=kinds[seed % 2])
            back = space.mutate(child, seed=seed, kind=kinds[seed % 2])
        else:
            child = space.mutate(genome, seed=seed)
            back = space.mutate(child, seed=seed)
        for a, b in (
            (genome, renumbered(genome, seed)),
            (genome, child),
            (renumbered(child, seed), back),
            (renumbered(genome, seed), back),
            (child, space.mutate(genome, seed=seed + 1)),
        ):
            same = is_isomorphic(a, b)
            assert same == (a.key == b.key), f"{a}\n{b}"
            assert same == a.same_architecture(b), f"{a}\n{b}"
            answers[same] += 1
    assert answers[True] > 1.02 * count
    assert answers[False] > 3 * count


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_key_of_regular_graphs(turns: int) -> None:
    # Two layers of six, each node reading two: as one ring, or as several. Every node sees the
    # same around it at any distance; only the whole tells them apart.
    def rings(sizes: tuple[int, ...]) -> Genome:
        nodes = [Node("identity") for _ in range(6)]
        first = 1
        for size in sizes:
            for k in range(size):
                pair = (first + k, first + (k + 1) % size)
                nodes.append(Node("identity", inputs=pair))
            first += size
        outputs = tuple(range(7, 13))
        return Genome(width=16, embedding_width=8, nodes=tuple(nodes), outputs=outputs)

    one, two, three = rings((6,)), rings((3, 3)), rings((2, 4))
    assert renumbered(one, turns).key == one.key
    assert renumbered(two, turns).key == two.key
    assert len({one.key, two.key, three.key}) == 3
    assert not is_isomorphic(one, two)


def test_key_depends_on_shared_inputs() -> None:
    # Every node has the same label and the same depth; only who shares an input differs.
    def pair(a: int, b: int) -> Genome:
        nodes = (
            Node("identity"),
            Node("identity"),
            Node("attention", inputs=(a,)),
            Node("attention", inputs=(b,)),
        )
        return Genome(width=16, embedding_width=8, nodes=nodes, outputs=(1, 2, 3, 4))

    assert pair(1, 2).key == pair(2, 1).key
    assert pair(1, 1).key == pair(2, 2).key
    assert pair(1, 1).key != pair(1, 2).key


def test_key_ignores_the_merge_of_one_input() -> None:
    a, b = (
        Genome(width=16, embedding_width=8, nodes=(Node("attention", merge=m),))
        for m in ("sum", "gated")
    )
    assert a.key == b.key


def test_key_depends_on_every_field() -> None:
    base = diamond()
    values = base.to_dict()
    changes: list[dict[str, object]] = [
        {"width": 96},
        {"embedding_width": 64},
        {"pooling": "max"},
    ]
    changes.append({"outputs": [2, 3]})
    for change in ({"residual": False}, {"merge": "mean"}, {"operator": "gated_linear_unit"}):
        nodes = [dict(n) for n in values["nodes"]]
        nodes[2] |= change
        if "operator" in change:
            nodes[2]["parameters"] = {}
        changes.append({"nodes": nodes})
    keys = {Genome.from_dict({**values, **change}).key for change in changes} | {base.key}
    assert len(keys) == len(changes) + 1


def test_key_of_many_equal_branches_is_fast() -> None:
    nodes = tuple(Node("identity") for _ in range(40))
    genome = Genome(width=16, embedding_width=8, nodes=nodes, outputs=tuple(range(1, 41)))
    assert genome.key == renumbered(genome, 1).key


def test_key_of_many_equal_chains_is_fast() -> None:
    nodes = []
    for k in range(12):
        nodes.append(Node("convolution", inputs=(0,)))
        nodes.append(Node("feed_forward", inputs=(2 * k + 1,)))
    outputs = tuple(range(2, 25, 2))
    genome = Genome(width=16, embedding_width=8, nodes=tuple(nodes), outputs=outputs)
    begun = time.process_time()
    assert genome.key == renumbered(genome, 1).key
    assert time.process_time() - begun < 10  # a factorial of 12 would take days


def test_ordered_puts_nodes_after_their_inputs() -> None:
    nodes = (Node("identity", inputs=(2,)), Node("attention", inputs=(0,)))
    genome = Genome(width=16, embedding_width=8, nodes=nodes, outputs=(1,))
    assert [n.operator for n in genome.ordered().nodes] == ["attention", "identity"]
    assert genome.ordered().key == genome.key


def test_ordered_agrees_with_networkx() -> None:
    for seed in range(60):
        genome = renumbered(SearchSpace().sample(seed=seed), seed)
        graph = nx.relabel_nodes(genome.graph(), {"embedding": 0})
        graph.remove_node("output")
        _, canonical = canonical_form("", genome.nodes, node_labels(genome.nodes, genome.outputs))
        order = list(nx.lexicographical_topological_sort(graph, key=canonical.index))
        assert topological_order(genome.nodes, canonical) == order
        wanted = [genome.nodes[v - 1].operator for v in order if v]
        assert [node.operator for node in genome.ordered().nodes] == wanted
        again = Genome.from_json(genome.ordered().to_json())
        assert again == genome.ordered()
        assert again.key == genome.key


def test_keys_of_stored_studies_stay_the_same() -> None:
    space = SearchSpace(**NARROW)
    first, second = space.sample(seed=1), space.sample(seed=2)
    made = space.mutate(first, seed=3), space.crossover(first, second, seed=4)
    assert [genome.key for genome in (diamond(), first, second, *made)] == [
        "767b7448fbb2ce39", "5e714f7d6a341bbe", "5acb7f7dbb8ce3a0", "4e61b2d53de14e10",
        "654b8688ef104976",
    ]  # fmt: skip
    assert hashlib.sha256(first.to_json().encode()).hexdigest()[:16] == "59c8d81023e18b21"


@pytest.mark.usefixtures("encodings")
def test_key_depends_on_encodings_and_their_parameters() -> None:
    choices: list[tuple[TextEncoding | str, ...]] = [
        (),
        ("lower_case",),
        ("shortened",),
        ("merged",),
        ("lower_case", "merged"),
        (TextEncoding("merged", {"strength": 0.1}),),
    ]
    genomes = [replace(diamond(), encodings=encodings) for encodings in choices]
    assert len({genome.key for genome in genomes}) == len(choices)
    for genome in genomes:
        assert renumbered(genome, 1).key == genome.key
        assert genome.ordered().encodings == genome.encodings
