"""Encodings by hand, and what they must not depend on."""

from __future__ import annotations

import math
import pickle

import networkx as nx
import numpy as np
import pytest

from rosearch.space import Genome, Node, SearchSpace, templates
from rosearch.space.features import encoded, encoding

NODES = (
    Node("convolution", {"kernel_size": 5}),
    Node("convolution", {"kernel_size": 3}, inputs=(1,), residual=False),
    Node("gated_feed_forward", {"expansion": 2, "gate": "silu"}, inputs=(0, 2), merge="gated"),
)
GENOME = Genome(width=64, embedding_width=32, nodes=NODES, outputs=(2, 3), pooling="max")


def test_by_hand() -> None:
    assert dict(encoding(GENOME)) == pytest.approx(
        {
            "size:width": 6, "size:embedding_width": 5, "size:nodes": 2, "size:depth": 2,
            "output:max": 1, "output:reads": 2, "input:subword_embedding": 1,
            "operator:convolution": math.log2(3), "operator:gated_feed_forward": 1,
            "family:convolution": math.log2(3), "family:feed-forward": 1,
            "setting:convolution.kernel_size": (math.log2(5) + math.log2(3)) / 2,
            "setting:gated_feed_forward.expansion": 1,
            "setting:gated_feed_forward.gate=silu": 1,
            "node:residual": 2 / 3, "node:gated": 1 / 3,
            "path:embedding>convolution": 1, "path:convolution>convolution": 1,
            "path:embedding>gated_feed_forward": 1, "path:convolution>gated_feed_forward": 1,
            "path:convolution>output": 1, "path:gated_feed_forward>output": 1,
        }
    )  # fmt: skip


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_stretches_as_networkx_finds_them(steps: int) -> None:
    space = SearchSpace(nodes=(0, 7))
    for seed in range(20):
        genome = space.sample(seed=seed)
        graph = genome.graph()
        wanted = set()
        for path in nx.all_simple_paths(graph, "embedding", "output"):
            names = [graph.nodes[v]["operator"] for v in path]
            for length in range(2, steps + 1):
                for start in range(len(names) - length + 1):
                    wanted.add("path:" + ">".join(names[start : start + length]))
        found = {name for name in encoding(genome, steps=steps) if name.startswith("path:")}
        if not genome.nodes:  # one path, the same for all that have no nodes
            wanted = set()
        assert found == wanted


def test_the_numbering_does_not_matter() -> None:
    space = SearchSpace(nodes=(2, 9))
    for seed in range(20):
        genome = space.sample(seed=seed)
        other = Genome.from_graph(nx.relabel_nodes(genome.graph(), {1: "x", 2: "y"}))
        assert dict(encoding(other)) == pytest.approx(dict(encoding(genome)))
    late = Genome(
        width=64,
        embedding_width=32,
        nodes=(Node("identity", inputs=(2,)), Node("convolution", inputs=(0,))),
        outputs=(1,),
    )
    assert encoding(late)["size:depth"] == pytest.approx(math.log2(3))


def test_it_is_kept_with_the_genome_and_cannot_change() -> None:
    genome = templates.text_cnn()
    first = encoding(genome)
    assert encoding(genome) is first
    with pytest.raises(TypeError):
        first["size:width"] = 0.0  # type: ignore[index]
    again = pickle.loads(pickle.dumps(genome))
    assert again == genome
    assert encoding(again) == first


def test_as_a_matrix() -> None:
    first, second = encoding(templates.bag_of_words()), encoding(templates.bigru())
    matrix, names = encoded([first, second])
    assert list(names) == sorted({*first, *second})
    for row, features in zip(matrix, (first, second), strict=True):
        np.testing.assert_array_equal(row, [features.get(name, 0.0) for name in names])
    narrow, same = encoded([second], ("size:width", "unknown"))
    np.testing.assert_array_equal(narrow, [[7.0, 0.0]])
    assert same == ("size:width", "unknown")
