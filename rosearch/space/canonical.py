"""A key and an order that do not depend on how a graph's nodes are numbered.

Colour refinement gives every node a colour from what it computes and what surrounds it. Where
nodes still share a colour, each of them is singled out in turn and the smallest resulting
description wins (individualisation and refinement, as in McKay's nauty, without its pruning:
our graphs are small).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rosearch.space.genome import Genome


def canonical_form(genome: Genome) -> tuple[str, tuple[int, ...]]:
    """What identifies an architecture, and an order of its nodes that goes with it.

    Returns:
        16 hexadecimal digits, equal exactly for isomorphic genomes (but for hash collisions); and
        the numbers of embedding and nodes such that isomorphic genomes agree place by place.
    """
    count = len(genome.nodes) + 1
    inputs: list[tuple[int, ...]] = [()] + [node.inputs for node in genome.nodes]
    readers: list[list[int]] = [[] for _ in range(count)]
    for number in range(1, count):
        for i in inputs[number]:
            readers[i].append(number)
    labels = [["embedding", 0 in genome.outputs]]
    for number, node in enumerate(genome.nodes, start=1):
        # With one input all merges compute the same, so they are the same candidate.
        merge = node.merge if len(node.inputs) > 1 else "sum"
        values = sorted(node.parameters.items())
        genes = [node.operator, values, merge, node.residual, number in genome.outputs]
        labels.append(genes)

    def describe(colours: Sequence[int]) -> tuple[str, tuple[int, ...]]:
        order = tuple(sorted(range(count), key=colours.__getitem__))
        place = {v: k for k, v in enumerate(order)}
        rows = [[labels[v], sorted(place[i] for i in inputs[v])] for v in order]
        return json.dumps(rows), order

    ranked = sorted({json.dumps(label) for label in labels})
    colours = [ranked.index(json.dumps(label)) for label in labels]
    body, order = _smallest(_Graph(inputs, readers, describe), colours)
    source = genome.embedding
    entry = [source.operator, sorted(source.parameters.items())]
    head = [genome.width, genome.embedding_width, genome.pooling, entry]
    key = hashlib.blake2b((json.dumps(head) + body).encode(), digest_size=8).hexdigest()
    return key, order


@dataclass(frozen=True)
class _Graph:
    inputs: Sequence[Sequence[int]]
    readers: Sequence[Sequence[int]]
    describe: Callable[[Sequence[int]], tuple[str, tuple[int, ...]]]


def _refine(graph: _Graph, colours: Sequence[int]) -> list[int]:
    """Split colours by the colours of the neighbours until nothing splits any more."""
    while True:
        seen: list[Any] = [
            (colour, sorted(colours[i] for i in above), sorted(colours[r] for r in below))
            for colour, above, below in zip(colours, graph.inputs, graph.readers, strict=True)
        ]
        ranked = sorted({json.dumps(s): s for s in seen}.values())
        refined = [ranked.index(s) for s in seen]
        if len(ranked) == len(set(colours)):
            return refined
        colours = refined


def _tied(colours: Sequence[int]) -> list[int]:
    """The nodes of the first colour that several share; none where all differ."""
    members: dict[int, list[int]] = {}
    for v, colour in enumerate(colours):
        members.setdefault(colour, []).append(v)
    return next((members[c] for c in sorted(members) if len(members[c]) > 1), [])


def _single_out(colours: Sequence[int], v: int) -> list[int]:
    doubled = [2 * colour for colour in colours]
    doubled[v] -= 1
    return doubled


def _descend(graph: _Graph, colours: Sequence[int]) -> tuple[str, tuple[int, ...]]:
    """A description of the graph in which every tie is broken by its first node."""
    colours = _refine(graph, colours)
    while tied := _tied(colours):
        colours = _refine(graph, _single_out(colours, tied[0]))
    return graph.describe(colours)


def _smallest(graph: _Graph, colours: Sequence[int]) -> tuple[str, tuple[int, ...]]:
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
