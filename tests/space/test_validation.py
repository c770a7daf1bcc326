"""Graphs that are not valid student architectures are refused, and the message says why."""

from __future__ import annotations

import networkx as nx
import pytest

from rosearch.errors import GenomeError
from rosearch.space import Genome, Node
from tests.space.spaces import diamond


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width must be a whole number from 1, got 0"),
        ({"width": 64.0}, "width must be .* got 64.0"),
        ({"width": True}, "width must be .* got True"),
        ({"embedding_width": -1}, "embedding_width must be .* got -1"),
        ({"pooling": "median"}, "pooling must be one of mean, .* got 'median'"),
        ({"outputs": (4,)}, "The output reads node 4, which is not in 0 to 3"),
        ({"outputs": (3, 3)}, "The output reads a node twice"),
        ({"outputs": (1,)}, r"Dead node: 2 \(convolution\) does not lead to the output"),
    ],
)
def test_invalid_values(change: dict[str, object], message: str) -> None:
    values = {**diamond().__getstate__(), **change}
    with pytest.raises(GenomeError, match=message):
        Genome(**values)  # type: ignore[arg-type]


def test_cycle_is_named() -> None:
    nodes = (Node("attention", inputs=(0, 2)), Node("convolution", inputs=(1,)))
    with pytest.raises(GenomeError, match=r"cycle: .*1 \(attention\) -> 2 \(convolution\)"):
        Genome(width=64, embedding_width=32, nodes=nodes)


def test_self_loop_is_named() -> None:
    with pytest.raises(GenomeError, match=r"cycle: 1 \(identity\) -> 1 \(identity\)"):
        Genome(width=64, embedding_width=32, nodes=(Node("identity", inputs=(0, 1)),))


def test_node_without_input() -> None:
    with pytest.raises(GenomeError, match=r"Dead node: node 1 \(identity\) has no input"):
        Genome(width=64, embedding_width=32, nodes=(Node("identity", inputs=()),))


def test_parameter_that_does_not_fit_the_width() -> None:
    with pytest.raises(GenomeError, match=r"Node 1 \(attention\) does not fit: 8 heads"):
        Genome(width=36, embedding_width=8, nodes=(Node("attention", {"heads": 8}),))


def test_unknown_merge() -> None:
    with pytest.raises(
        GenomeError, match=r"merge of node 1 \(identity\) must be one of .* got 'product'"
    ):
        Genome(width=64, embedding_width=32, nodes=(Node("identity", merge="product"),))


def test_unreached_node() -> None:
    graph = diamond().graph()
    graph.add_node("island", operator="identity")
    graph.add_edge("island", 3)
    with pytest.raises(GenomeError, match=r"island .* is not reached from the embedding"):
        Genome.from_graph(graph)


def test_graph_without_output() -> None:
    graph = diamond().graph()
    graph.remove_node("output")
    with pytest.raises(GenomeError, match='one node with operator="output", got 0'):
        Genome.from_graph(graph)


def test_graph_of_another_type() -> None:
    with pytest.raises(GenomeError, match=r"must be a networkx.DiGraph, got Graph"):
        Genome.from_graph(nx.Graph())


def drawn_by_hand() -> nx.DiGraph:
    graph = nx.DiGraph(width=64, embedding_width=32, pooling="max")
    graph.add_node("words", operator="embedding", source="character_embedding")
    graph.add_node("near", operator="lightweight_convolution", parameters={"kernel_size": 7})
    graph.add_node("far", operator="attention", merge="mean", residual=False)
    graph.add_node("answer", operator="output")
    graph.add_edges_from([("words", "near"), ("near", "far"), ("words", "far"), ("far", "answer")])
    return graph


def test_every_attribute_of_a_graph_is_in_the_genome() -> None:
    genome = Genome.from_graph(drawn_by_hand())
    assert (genome.width, genome.embedding_width, genome.pooling) == (64, 32, "max")
    assert genome.embedding.operator == "character_embedding"
    assert genome.nodes[0].parameters["kernel_size"] == 7
    assert (genome.nodes[1].merge, genome.nodes[1].residual) == ("mean", False)


@pytest.mark.parametrize(
    ("node", "attributes", "message"),
    [
        ("near", {"kernel_size": 7}, r"parameters=\{'kernel_size': 7\}"),
        ("near", {"kernelsize": 7}, "kernelsize.* Did you mean 'kernel_size'"),
        ("far", {"merg": "gated"}, r"Node far \(attention\) .*'merg'.* Did you mean 'merge'"),
        ("far", {"inputs": (1,)}, "'inputs'.* Remove it"),
        ("far", {2: "gated"}, "the attribute 2"),
        ("words", {"buckets": 512}, r"Node words .*parameters=\{'buckets': 512\}"),
        ("words", {"sources": "x"}, "Did you mean 'source'"),
        ("answer", {"pooling": "max"}, r"Node answer \(output\) .*'pooling'"),
    ],
)
def test_unknown_attributes_of_nodes(
    node: str, attributes: dict[object, object], message: str
) -> None:
    graph = drawn_by_hand()
    graph.nodes[node].update(attributes)
    with pytest.raises(GenomeError, match=message):
        Genome.from_graph(graph)


def test_unknown_attributes_of_edges_and_graphs() -> None:
    graph = drawn_by_hand()
    graph.edges["near", "far"]["weight"] = 0.5
    with pytest.raises(GenomeError, match=r"edge from near .* to far .*'weight'.* known: none"):
        Genome.from_graph(graph)
    graph = drawn_by_hand()
    graph.graph["poolings"] = ("max",)
    with pytest.raises(GenomeError, match=r"graph.graph .*'poolings'.* Did you mean 'pooling'"):
        Genome.from_graph(graph)
