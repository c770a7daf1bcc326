"""Small search spaces and graph helpers for the tests of this folder."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np

from rosearch.space import Genome, Node, SearchSpace

NARROW: dict[str, Any] = {
    "operators": {
        "attention": {"heads": (2, 4)},
        "convolution": {},
        "identity": {},
        "feed_forward": {},
        "separable_convolution": {},
    },
    "embeddings": ["subword_embedding"],
    "nodes": (0, 10),
    "widths": (32, 64, 96),
    "embedding_widths": (16, 32, 64),
}

SMALL = SearchSpace(
    operators={"identity": {}, "attention": {"heads": (2, 4)}},
    nodes=(0, 5),
    widths=(16,),
    embedding_widths=(8, 16),
    embeddings={"subword_embedding": {}, "synonym_code_embedding": {"threshold": (0.5,)}},
)


def diamond() -> Genome:
    """Return two nodes that read the embedding, and one that reads both."""
    nodes = (
        Node("attention"),
        Node("convolution", inputs=(0,)),
        Node("feed_forward", inputs=(1, 2), merge="gated"),
    )
    return Genome(width=64, embedding_width=32, nodes=nodes)


def renumbered(genome: Genome, seed: int) -> Genome:
    """Return the same architecture with its nodes in random order."""
    order = np.random.default_rng(seed).permutation(len(genome.nodes)).tolist()
    place = {0: 0} | {old + 1: new for new, old in enumerate(order, start=1)}
    nodes = [
        Node(n.operator, n.parameters, tuple(place[i] for i in n.inputs), n.merge, n.residual)
        for n in (genome.nodes[old] for old in order)
    ]
    return Genome(
        width=genome.width,
        embedding_width=genome.embedding_width,
        pooling=genome.pooling,
        nodes=tuple(nodes),
        outputs=tuple(place[i] for i in genome.outputs),
        embedding=genome.embedding,
        encodings=genome.encodings,
        bound=genome.bound,
        scopes=genome.scopes,
    )


def operators_by_identity(genome: Genome) -> dict[str, str]:
    """Return the operator of each node identity."""
    return {i: n.operator for i, n in zip(genome.identities, genome.nodes, strict=True)}


def is_isomorphic(a: Genome, b: Genome) -> bool:
    """Whether networkx finds two architectures equal, the reference for keys."""

    def same(x: dict[str, object], y: dict[str, object]) -> bool:
        names = ("operator", "source", "parameters", "residual", "merge")
        return all(x.get(name) == y.get(name) for name in names)

    def comparable(genome: Genome) -> nx.DiGraph:
        graph = genome.graph()
        for v in graph:
            if graph.in_degree(v) <= 1:
                graph.nodes[v]["merge"] = None
        return graph

    heads = [(g.width, g.embedding_width, g.pooling, g.encodings, g.bound) for g in (a, b)]
    return heads[0] == heads[1] and nx.is_isomorphic(comparable(a), comparable(b), node_match=same)
