"""A key and an order that do not depend on how a graph's nodes are numbered.

Colour refinement gives every node a colour from what it computes and what surrounds it. Where
nodes still share a colour, each of them is singled out in turn and the smallest resulting
description wins (individualisation and refinement, as in McKay's nauty, without its pruning:
our graphs are small).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rosearch.operators.base import Value
    from rosearch.space.genome import Genome


def canonical_form(genome: Genome) -> tuple[str, tuple[int, ...]]:
    """What identifies an architecture, and an order of its nodes that goes with it.

    Returns:
        16 hexadecimal digits, equal exactly for isomorphic genomes (but for hash collisions); and
        the numbers of embedding and nodes such that isomorphic genomes agree place by place.
    """
    inputs: list[tuple[int, ...]] = [()]
    readers: list[list[int]] = [[] for _ in range(len(genome.nodes) + 1)]
    labels = [f'["embedding", {json.dumps(0 in genome.outputs)}]']
    for number, node in enumerate(genome.nodes, start=1):
        inputs.append(node.inputs)
        for i in node.inputs:
            readers[i].append(number)
        # With one input all merges compute the same, so they are the same candidate.
        merge = node.merge if len(node.inputs) > 1 else "sum"
        labels.append(
            _label(node.operator, node.parameters, merge, node.residual, number in genome.outputs)
        )
    rank = {label: k for k, label in enumerate(sorted(set(labels)))}
    body, order = _smallest(_Graph(inputs, readers, labels), [rank[label] for label in labels])
    source = genome.embedding
    entry = [source.operator, sorted(source.parameters.items())]
    head = [genome.width, genome.embedding_width, genome.pooling, entry]
    key = hashlib.blake2b((json.dumps(head) + body).encode(), digest_size=8).hexdigest()
    return key, order


@lru_cache(maxsize=65536)
def _label(
    operator: str, parameters: Mapping[str, Value], merge: str, residual: bool, read: bool
) -> str:
    """All that a node says of itself; ``read``: whether the output reads it."""
    return json.dumps([operator, sorted(parameters.items()), merge, residual, read])


@dataclass(frozen=True)
class _Graph:
    inputs: Sequence[Sequence[int]]
    readers: Sequence[Sequence[int]]
    labels: Sequence[str]

    def describe(self, colours: Sequence[int]) -> tuple[str, tuple[int, ...]]:
        order = tuple(sorted(range(len(colours)), key=colours.__getitem__))
        place = [0] * len(order)
        for k, v in enumerate(order):
            place[v] = k
        rows = [f"{self.labels[v]}{sorted([place[i] for i in self.inputs[v]])}" for v in order]
        return "\n".join(rows), order


def _refine(graph: _Graph, colours: list[int]) -> list[int]:
    """Split colours by the colours of the neighbours until nothing splits any more."""
    count = len(set(colours))
    while count < len(colours):
        at = colours.__getitem__
        seen = [
            (colour, tuple(sorted(map(at, above))), tuple(sorted(map(at, below))))
            for colour, above, below in zip(colours, graph.inputs, graph.readers, strict=True)
        ]
        rank = {s: k for k, s in enumerate(sorted(set(seen)))}
        colours = [rank[s] for s in seen]
        if len(rank) == count:
            break
        count = len(rank)
    return colours


def _tied(colours: Sequence[int]) -> list[int]:
    """The nodes of the first colour that several share; none where all differ."""
    if len(set(colours)) == len(colours):
        return []
    members: dict[int, list[int]] = {}
    for v, colour in enumerate(colours):
        members.setdefault(colour, []).append(v)
    return next(members[c] for c in sorted(members) if len(members[c]) > 1)


def _single_out(colours: Sequence[int], v: int) -> list[int]:
    doubled = [2 * colour for colour in colours]
    doubled[v] -= 1
    return doubled


def _descend(graph: _Graph, colours: list[int]) -> tuple[str, tuple[int, ...]]:
    """A description of the graph in which every tie is broken by its first node."""
    colours = _refine(graph, colours)
    while tied := _tied(colours):
        colours = _refine(graph, _single_out(colours, tied[0]))
    return graph.describe(colours)


def _smallest(graph: _Graph, colours: list[int]) -> tuple[str, tuple[int, ...]]:
    """The smallest description that any way of breaking the ties leads to."""
    colours = _refine(graph, colours)
    tied = _tied(colours)
    if not tied:
        return graph.describe(colours)
    # Nodes with the same inputs and readers are interchangeable, and so are two whose first
    # descents read the same: that is an automorphism which maps one on the other. One stands for
    # all, which keeps equal branches from costing a factorial.
    kinds = {(tuple(graph.inputs[v]), tuple(graph.readers[v])): v for v in reversed(tied)}
    different = list(kinds.values())
    if len(different) > 1:
        different = list(
            {_descend(graph, _single_out(colours, v))[0]: v for v in different}.values()
        )
    return min(_smallest(graph, _single_out(colours, v)) for v in different)
