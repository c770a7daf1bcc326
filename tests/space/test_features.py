"""Features agree with values computed by hand, and do not depend on the numbering of nodes."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest

from rosearch.space import Genome, Node, SearchSpace, TextEncoding, templates
from rosearch.space.features import feature_matrix, features

NODES = (
    Node("convolution", {"kernel_size": 5}),
    Node("convolution", {"kernel_size": 3}, inputs=(1,), residual=False),
    Node("gated_feed_forward", {"expansion": 2, "gate": "silu"}, inputs=(0, 2), merge="gated"),
)
GENOME = Genome(width=64, embedding_width=32, nodes=NODES, outputs=(2, 3), pooling="max")


def test_values_computed_by_hand() -> None:
    assert dict(features(GENOME)) == pytest.approx(
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
def test_paths_agree_with_networkx(steps: int) -> None:
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
        found = {name for name in features(genome, steps=steps) if name.startswith("path:")}
        if not genome.nodes:  # one path, the same for all that have no nodes
            wanted = set()
        assert found == wanted


def test_numbering_of_nodes_does_not_matter() -> None:
    space = SearchSpace(nodes=(2, 9))
    for seed in range(20):
        genome = space.sample(seed=seed)
        other = Genome.from_graph(nx.relabel_nodes(genome.graph(), {1: "x", 2: "y"}))
        assert dict(features(other)) == pytest.approx(dict(features(genome)))
    late = Genome(
        width=64,
        embedding_width=32,
        nodes=(Node("identity", inputs=(2,)), Node("convolution", inputs=(0,))),
        outputs=(1,),
    )
    assert features(late)["size:depth"] == pytest.approx(math.log2(3))


def test_features_are_read_only() -> None:
    first = features(templates.text_cnn())
    with pytest.raises(TypeError):
        first["size:width"] = 0.0  # type: ignore[index]


def test_feature_matrix() -> None:
    first, second = features(templates.bag_of_words()), features(templates.bigru())
    matrix, names = feature_matrix([first, second])
    assert list(names) == sorted({*first, *second})
    for row, values in zip(matrix, (first, second), strict=True):
        np.testing.assert_array_equal(row, [values.get(name, 0.0) for name in names])
    narrow, same = feature_matrix([second], ("size:width", "unknown"))
    np.testing.assert_array_equal(narrow, [[7.0, 0.0]])
    assert same == ("size:width", "unknown")
    assert feature_matrix([], ("size:width",))[0].shape == (0, 1)


@pytest.mark.usefixtures("encodings")
def test_encodings() -> None:
    encodings = TextEncoding("shortened"), TextEncoding("merged", {"strength": 0.5})
    plain = features(templates.text_cnn())
    assert dict(features(templates.text_cnn(encodings=encodings))) == pytest.approx(
        {
            **plain,
            "input:encoding:shortened": 1, "input:encoding:shortened.length": math.log2(5),
            "input:encoding:shortened.side=left": 1, "input:encoding:merged": 1,
            "input:encoding:merged.strength": math.log2(1.5),
        }
    )  # fmt: skip
