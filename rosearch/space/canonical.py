"""A key that does not depend on how a graph's nodes are numbered.

Colour refinement gives every node a colour from what it computes and what surrounds it. Where
nodes still share a colour, each of them is singled out in turn and the smallest resulting
description wins (individualisation and refinement, as in McKay's nauty, without its pruning:
our graphs are small).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rosearch.space.genome import Genome


def canonical_key(genome: Genome) -> str:
    """16 hexadecimal digits, equal exactly for isomorphic genomes (but for hash collisions)."""
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

    def describe(order: Sequence[int]) -> str:
        place = {v: k for k, v in enumerate(order)}
        rows = [[labels[v], sorted(place[i] for i in inputs[v])] for v in order]
        return json.dumps(rows)

    ranked = sorted({json.dumps(label) for label in labels})
    colours = [ranked.index(json.dumps(label)) for label in labels]
    body = _smallest(colours, inputs, readers, describe)
    head = [genome.width, genome.embedding_width, genome.pooling]
    return hashlib.blake2b((json.dumps(head) + body).encode(), digest_size=8).hexdigest()


def _refine(
    colours: list[int], inputs: Sequence[Sequence[int]], readers: Sequence[Sequence[int]]
) -> list[int]:
    """Split colours by the colours of the neighbours until nothing splits any more."""
    while True:
        seen: list[Any] = [
            (
                colours[v],
                sorted(colours[i] for i in inputs[v]),
                sorted(colours[r] for r in readers[v]),
            )
            for v in range(len(colours))
        ]
        ranked = sorted({json.dumps(s): s for s in seen}.values())
        refined = [ranked.index(s) for s in seen]
        if len(ranked) == len(set(colours)):
            return refined
        colours = refined


def _smallest(
    colours: list[int],
    inputs: Sequence[Sequence[int]],
    readers: Sequence[Sequence[int]],
    describe: Callable[[Sequence[int]], str],
) -> str:
    colours = _refine(colours, inputs, readers)
    members: dict[int, list[int]] = {}
    for v, colour in enumerate(colours):
        members.setdefault(colour, []).append(v)
    tied = [colour for colour in sorted(members) if len(members[colour]) > 1]
    if not tied:
        return describe(sorted(range(len(colours)), key=colours.__getitem__))
    # Nodes with the same inputs and readers are interchangeable: one stands for all, which keeps
    # wide graphs of equal branches from costing a factorial.
    kinds = {(tuple(inputs[v]), tuple(readers[v])): v for v in members[tied[0]]}
    doubled = [2 * colour for colour in colours]
    results = []
    for v in kinds.values():
        single = list(doubled)
        single[v] -= 1
        results.append(_smallest(single, inputs, readers, describe))
    return min(results)
