"""Genomes: validity, JSON, graphs and keys."""

from __future__ import annotations

import itertools
import json
import pickle
import time
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rosearch.errors import GenomeError
from rosearch.space import Genome, Node, SearchSpace

SMALL = SearchSpace(
    operators={"identity": {}, "attention": {"heads": (2, 4)}},
    nodes=(0, 5),
    widths=(16,),
    embedding_widths=(8, 16),
    embeddings={"subword_embedding": {}, "synonym_code_embedding": {"threshold": (0.5,)}},
)


def diamond() -> Genome:
    nodes = (
        Node("attention"),
        Node("convolution", inputs=(0,)),
        Node("feed_forward", inputs=(1, 2), merge="gated"),
    )
    return Genome(width=64, embedding_width=32, nodes=nodes)


def renumbered(genome: Genome, seed: int) -> Genome:
    rng = np.random.default_rng(seed)
    place = {0: 0}
    order = rng.permutation(len(genome.nodes))
    for new, old in enumerate(order, start=1):
        place[int(old) + 1] = new
    nodes = [
        Node(n.operator, n.parameters, tuple(place[i] for i in n.inputs), n.merge, n.residual)
        for n in (genome.nodes[int(old)] for old in order)
    ]
    return Genome(
        width=genome.width,
        embedding_width=genome.embedding_width,
        pooling=genome.pooling,
        nodes=tuple(nodes),
        outputs=tuple(place[i] for i in genome.outputs),
        embedding=genome.embedding,
    )


def with_node(genes: str) -> str:
    return f'{{"width": 64, "embedding_width": 8, "nodes": [{{{genes}}}]}}'


def isomorphic(a: Genome, b: Genome) -> bool:
    """networkx's answer, the reference for keys."""

    def same(x: dict[str, object], y: dict[str, object]) -> bool:
        names = ("operator", "source", "parameters", "residual", "merge")
        return all(x.get(name) == y.get(name) for name in names)

    def comparable(genome: Genome) -> nx.DiGraph:
        graph = genome.graph()
        for v in graph:
            if graph.in_degree(v) <= 1:
                graph.nodes[v]["merge"] = None
        return graph

    heads = [(g.width, g.embedding_width, g.pooling) for g in (a, b)]
    return heads[0] == heads[1] and nx.is_isomorphic(comparable(a), comparable(b), node_match=same)


class TestRoundTrips:
    @settings(max_examples=100, deadline=None)
    @given(seed=st.integers(0, 10**9))
    def test_json_graph_and_pickle(self, seed: int) -> None:
        genome = SearchSpace().sample(seed=seed)
        assert Genome.from_json(genome.to_json()) == genome
        assert Genome.from_graph(genome.graph()).key == genome.key
        assert pickle.loads(pickle.dumps(genome)) == genome
        assert hash(Genome.from_json(genome.to_json())) == hash(genome)

    def test_json_holds_plain_values(self) -> None:
        values = json.loads(diamond().to_json())
        assert values["nodes"][0] == {
            "operator": "attention",
            "parameters": {"heads": 4},
            "inputs": [0],
            "merge": "sum",
            "residual": True,
        }

    def test_from_graph_takes_any_names(self) -> None:
        graph = nx.relabel_nodes(diamond().graph(), {1: "left", 2: "right", "embedding": 99})
        assert Genome.from_graph(graph).key == diamond().key

    def test_defaults_need_not_be_spelled_out(self) -> None:
        assert Node("attention") == Node("attention", {"heads": 4})

    def test_listing_names_every_node(self) -> None:
        text = str(diamond())
        lines = [line.split() for line in text.splitlines()]
        assert lines[3] == "3 feed_forward(expansion=2) <- gated of 1, 2 + input".split()
        assert lines[4] == ["output", "<-", "3"]
        assert len({line.index("<-") for line in text.splitlines()[1:]}) == 1  # aligned


class TestKey:
    @settings(max_examples=150, deadline=None)
    @given(seed=st.integers(0, 10**9), shuffle=st.integers(0, 10**6))
    def test_renumbering_keeps_it(self, seed: int, shuffle: int) -> None:
        genome = SearchSpace().sample(seed=seed)
        other = renumbered(genome, shuffle)
        assert other.key == genome.key
        assert other.ordered() == genome.ordered()
        assert all(max(n.inputs) < i for i, n in enumerate(other.ordered().nodes, start=1))

    def test_equal_exactly_for_isomorphic_graphs(self) -> None:
        genomes = [SMALL.sample(seed=seed) for seed in range(80)]
        genomes += [SMALL.mutate(g, seed=1) for g in genomes[:20]]
        genomes += [renumbered(g, 3) for g in genomes[:20]]
        equal = 0
        for a, b in itertools.combinations(genomes, 2):
            same = isomorphic(a, b)
            assert same == (a.key == b.key), f"{a}\n{b}"
            equal += same
        assert equal > 20  # so that both answers occurred

    @pytest.mark.slow
    def test_ten_thousand_hard_pairs(self) -> None:
        # Nodes of one kind, so that only the edges tell graphs apart, and all kinds of genes; each
        # with a mutant, the mutant's mutant, which is often the genome again, and renumberings.
        plain = SearchSpace(
            operators=["identity"], nodes=(3, 9), widths=(16,), embedding_widths=(8,),
            embeddings=["subword_embedding"], poolings=("mean",), merges=("sum",),
        )  # fmt: skip
        answers = {True: 0, False: 0}
        for seed in range(2000):
            space = (plain, SMALL, SearchSpace())[seed % 3]
            genome = space.sample(seed=seed)
            if space is plain:
                kinds = ("rewire", "toggle_residual", "rewire")
                still = [node.changed(residual=False, identity="") for node in genome.nodes]
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
                same = isomorphic(a, b)
                assert same == (a.key == b.key), f"{a}\n{b}"
                answers[same] += 1
        assert sum(answers.values()) == 10_000
        assert answers[True] > 2050
        assert answers[False] > 6000

    @pytest.mark.parametrize("turns", [1, 2, 3])
    def test_regular_graphs(self, turns: int) -> None:
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
        assert not isomorphic(one, two)

    def test_shared_and_separate_twins_differ(self) -> None:
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

    def test_merge_of_one_input_does_not_count(self) -> None:
        a, b = (
            Genome(width=16, embedding_width=8, nodes=(Node("attention", merge=m),))
            for m in ("sum", "gated")
        )
        assert a.key == b.key

    def test_every_gene_counts(self) -> None:
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

    def test_many_equal_branches_are_quick(self) -> None:
        nodes = tuple(Node("identity") for _ in range(40))
        genome = Genome(width=16, embedding_width=8, nodes=nodes, outputs=tuple(range(1, 41)))
        assert genome.key == renumbered(genome, 1).key

    def test_many_equal_chains_are_quick(self) -> None:
        nodes = []
        for k in range(12):
            nodes.append(Node("convolution", inputs=(0,)))
            nodes.append(Node("feed_forward", inputs=(2 * k + 1,)))
        outputs = tuple(range(2, 25, 2))
        genome = Genome(width=16, embedding_width=8, nodes=tuple(nodes), outputs=outputs)
        begun = time.process_time()
        assert genome.key == renumbered(genome, 1).key
        assert time.process_time() - begun < 10  # a factorial of 12 would take days


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"width": 0}, "width is 0; expected a whole number from 1"),
            ({"width": 64.0}, "width is 64.0"),
            ({"width": True}, "width is True"),
            ({"embedding_width": -1}, "embedding_width is -1"),
            ({"pooling": "median"}, "pooling of the genome is 'median'; expected one of mean"),
            ({"outputs": (4,)}, "The output reads node 4; there are 0 .* to 3"),
            ({"outputs": (3, 3)}, "The output reads a node twice"),
            ({"outputs": (1,)}, r"Dead node: 2 \(convolution\) does not lead to the output"),
        ],
    )
    def test_genes(self, change: dict[str, object], message: str) -> None:
        values = {**vars_of(diamond()), **change}
        with pytest.raises(GenomeError, match=message):
            Genome(**values)  # type: ignore[arg-type]

    def test_cycle_is_named(self) -> None:
        nodes = (Node("attention", inputs=(0, 2)), Node("convolution", inputs=(1,)))
        with pytest.raises(GenomeError, match=r"cycle: .*1 \(attention\) -> 2 \(convolution\)"):
            Genome(width=64, embedding_width=32, nodes=nodes)

    def test_self_loop_is_named(self) -> None:
        with pytest.raises(GenomeError, match=r"cycle: 1 \(identity\) -> 1 \(identity\)"):
            Genome(width=64, embedding_width=32, nodes=(Node("identity", inputs=(0, 1)),))

    def test_missing_input_is_named(self) -> None:
        with pytest.raises(GenomeError, match=r"Dead node: node 1 \(identity\) has no input"):
            Genome(width=64, embedding_width=32, nodes=(Node("identity", inputs=()),))

    def test_unfitting_parameter_is_named(self) -> None:
        with pytest.raises(GenomeError, match=r"Node 1 \(attention\) does not fit: 8 heads"):
            Genome(width=36, embedding_width=8, nodes=(Node("attention", {"heads": 8}),))

    def test_unknown_merge_is_named(self) -> None:
        with pytest.raises(GenomeError, match=r"merge of node 1 \(identity\) is 'product'"):
            Genome(width=64, embedding_width=32, nodes=(Node("identity", merge="product"),))

    def test_graph_with_unreached_node(self) -> None:
        graph = diamond().graph()
        graph.add_node("island", operator="identity")
        graph.add_edge("island", 3)
        with pytest.raises(GenomeError, match=r"island .* is not reached from the embedding"):
            Genome.from_graph(graph)

    def test_graph_without_output(self) -> None:
        graph = diamond().graph()
        graph.remove_node("output")
        with pytest.raises(GenomeError, match='one node with operator="output", found 0'):
            Genome.from_graph(graph)

    def test_graph_of_another_kind(self) -> None:
        with pytest.raises(GenomeError, match=r"Expected a networkx.DiGraph, got Graph"):
            Genome.from_graph(nx.Graph())

    def test_graph_without_width(self) -> None:
        graph = diamond().graph()
        del graph.graph["width"]
        with pytest.raises(GenomeError, match=r"graph.graph\['width'\]"):
            Genome.from_graph(graph)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "Expected a genome as JSON"),
            ("[]", "Expected the genome as an object"),
            ('{"width": 64}', "no 'embedding_width'"),
            ('{"width": 64, "embedding_width": 8, "depth": 3}', "unknown field 'depth'"),
            ('{"width": 64, "embedding_width": 8, "nodes": [{}]}', "node 1 has no 'operator'"),
            ('{"width": 64, "embedding_width": 8, "nodes": 5}', "nodes as a list, got 5"),
            ('{"width": 64, "embedding_width": 8, "outputs": 5}', "outputs as whole numbers"),
            (with_node('"operator": ["x"]'), "a node's operator as a str"),
            (with_node('"operator": "identity", "parameters": [1]'), "parameters as a mapping"),
            (with_node('"operator": "identity", "inputs": null'), "whole numbers, got None"),
            (with_node('"operator": "identity", "inputs": ["a"]'), "whole numbers, got .'a'"),
            (with_node('"operator": "identity", "inputs": [0.7]'), "whole numbers, got .0.7"),
        ],
    )
    def test_json(self, text: str, message: str) -> None:
        with pytest.raises(GenomeError, match=message):
            Genome.from_json(text)

    def test_nodes_of_another_kind(self) -> None:
        with pytest.raises(GenomeError, match="nodes as a tuple of Node"):
            Genome(width=64, embedding_width=8, nodes=("identity",))  # type: ignore[arg-type]


def vars_of(genome: Genome) -> dict[str, object]:
    return {
        name: getattr(genome, name)
        for name in ("width", "embedding_width", "pooling", "nodes", "outputs")
    }


def test_ordered_puts_nodes_behind_their_inputs() -> None:
    nodes = (Node("identity", inputs=(2,)), Node("attention", inputs=(0,)))
    genome = Genome(width=16, embedding_width=8, nodes=nodes, outputs=(1,))
    assert [n.operator for n in genome.ordered().nodes] == ["attention", "identity"]
    assert genome.ordered().key == genome.key


def test_ordered_is_networkx_order() -> None:
    for seed in range(60):
        genome = renumbered(SearchSpace().sample(seed=seed), seed)
        graph = nx.relabel_nodes(genome.graph(), {"embedding": 0})
        graph.remove_node("output")
        rank = genome._form[1].index
        order = list(nx.lexicographical_topological_sort(graph, key=rank))
        wanted = [genome.nodes[v - 1].operator for v in order if v]
        assert [node.operator for node in genome.ordered().nodes] == wanted
        again = Genome.from_json(genome.ordered().to_json())
        assert again == genome.ordered()
        assert again.key == genome.key
