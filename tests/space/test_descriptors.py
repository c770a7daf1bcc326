"""Descriptors agree with values computed by hand and with networkx."""

from __future__ import annotations

import networkx as nx
import pytest

from rosearch.space import Genome, Node, SearchSpace, Task, TextEncoding, genome_cost, templates
from rosearch.space.descriptors import aligned, descriptors


def test_values_computed_by_hand() -> None:
    nodes = (
        Node("convolution", {"kernel_size": 5}),
        Node("separable_convolution", {"kernel_size": 3}, inputs=(1,), residual=False),
        Node("feed_forward", inputs=(0, 2), merge="gated"),
        Node("identity", inputs=(0,), residual=False),
    )
    genome = Genome(width=64, embedding_width=32, nodes=nodes, outputs=(3, 4), pooling="max")
    found = descriptors(genome)
    expected = {
        "width": 64, "embedding_width": 32, "nodes": 4, "edges": 7, "depth": 3,
        "shortest_path": 1, "mean_path": 5 / 3, "paths": 3, "mean_inputs": 1.25, "max_inputs": 2,
        "outputs": 2, "merges": 0.25, "merges_gated": 1, "residuals": 0.5,
        "family_convolution": 0.5, "family_feed-forward": 0.25, "family_identity": 0.25,
        "family_attention": 0, "receptive_field": 7, "pooling_max": 1, "pooling_mean": 0,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    cost = genome_cost(genome)
    assert (found["parameters"], found["flops"]) == (cost.parameters, cost.flops)
    table = (30522 + 512 + 2) * 32 + 32 * 64 + 64 + 2 * 64
    assert found["embedding_share"] == pytest.approx(table / cost.parameters)


def test_paths_agree_with_networkx() -> None:
    space = SearchSpace(nodes=(0, 9), widths=(64,))
    for seed in range(25):
        genome = space.sample(seed=seed)
        found = descriptors(genome)
        graph = genome.graph()
        lengths = [len(p) - 2 for p in nx.all_simple_paths(graph, "embedding", "output")]
        assert found["paths"] == len(lengths)
        assert found["mean_path"] == pytest.approx(sum(lengths) / len(lengths))
        assert (found["depth"], found["shortest_path"]) == (max(lengths), min(lengths))
        assert found["edges"] == graph.number_of_edges()
        assert all(type(value) is float for value in found.values())


def test_receptive_field() -> None:
    task = Task(length=48)
    assert descriptors(templates.transformer(), teacher=task)["receptive_field"] == 48
    assert descriptors(templates.bag_of_words(), teacher=task)["receptive_field"] == 1
    assert descriptors(templates.text_cnn(), teacher=task)["receptive_field"] == 7


def test_genome_without_nodes() -> None:
    found = descriptors(templates.bag_of_words())
    assert (found["depth"], found["mean_path"], found["paths"]) == (0, 0, 1)
    assert found["residuals"] == found["mean_inputs"] == 0


def test_input_bound_and_scopes() -> None:
    found = [
        descriptors(genome)
        for genome in (
            templates.bag_of_words(),
            Genome(64, 32, embedding="character_embedding"),
            templates.additive(scopes=True),
            templates.text_cnn(bound=0.5),
        )
    ]
    names = ("input_subword_embedding", "input_character_embedding", "bounded", "bound", "scopes")
    rows = [[row[name] for name in names] for row in aligned(found)]
    assert rows == [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [1, 0, 1, 0, 1], [1, 0, 1, 0.5, 0]]


@pytest.mark.usefixtures("encodings")
def test_encodings() -> None:
    plain = descriptors(templates.text_cnn())
    encodings = TextEncoding("shortened"), TextEncoding("merged", {"strength": 0.2})
    found = descriptors(templates.text_cnn(encodings=encodings))
    assert found == plain | {
        "encoding_shortened": 1, "encoding_shortened.length": 4, "encoding_shortened.side=left": 1,
        "encoding_merged": 1, "encoding_merged.strength": 0.2,
    }  # fmt: skip
    assert list(aligned([plain, found])) == [dict.fromkeys(found, 0.0) | plain, found]
