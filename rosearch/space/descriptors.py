"""Numbers that describe an architecture, for statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rosearch import operators as ops
from rosearch.parameters import Value
from rosearch.space.cost.additive import Task, genome_cost, part_parameters, parts
from rosearch.space.genome import Genome
from rosearch.space.picture import COLOURS

FAMILIES = tuple(COLOURS)
"""Families with a column of their own; every other family counts as ``"other"``."""


def descriptors(genome: Genome, *, teacher: Any = None) -> dict[str, float]:
    """Return numbers that describe an architecture.

    Paths lead from the embedding to the output along the edges of the graph; their length is the
    number of nodes on them.

    - ``width``, ``embedding_width``: as in the genome.
    - ``nodes``: number of nodes.
    - ``edges``: number of edges, including those from the embedding and to the output.
    - ``depth``: nodes on the longest path; ``shortest_path``, ``mean_path``: on the shortest, and
      on average over all paths.
    - ``paths``: number of paths.
    - ``mean_inputs``, ``max_inputs``: inputs of a node (0 without nodes); ``outputs``: nodes that
      the output reads.
    - ``merges``: share of the nodes with several inputs; ``merges_gated``: share of those with a
      gated merge.
    - ``residuals``: share of the nodes with a residual.
    - ``family_NAME``: share of the nodes whose operator is of that family, for each of
      :data:`FAMILIES` (0 without nodes).
    - ``receptive_field``: number of tokens that the output node with the widest view can see, at
      most the length of the text that FLOPs are for; 1 without a view of other tokens.
    - ``parameters``, ``flops``: of the student; FLOPs for one text.
    - ``embedding_share``: share of the parameters that are the embedding's.
    - ``pooling_NAME``: 1 for the genome's pooling, else 0.
    - ``input_NAME``: 1 for the operator of the genome's embedding; a genome lacks the others, which
      stands for 0.
    - ``bounded``: 1 for a genome with a bound, ``bound``: its value, and ``scopes``: 1 if its token
      scores depend on scopes; other genomes lack them, which stands for 0.
    - Of each of the genome's encodings those of :func:`encoding_descriptors`; a genome without an
      encoding lacks its descriptors, which stands for 0.

    Args:
        genome: The architecture.
        teacher: A Teacher or a :class:`~rosearch.space.Task` with the sizes for parameters and
            FLOPs; those of an uncased English BERT with two classes by default.
    """
    task = Task() if teacher is None else Task.of(teacher)
    genome = genome.ordered()
    nodes, outputs = genome.nodes, genome.outputs
    # By node: the number of paths from the embedding, their total, maximum and minimum length, and
    # how many tokens to either side it sees.
    paths, total, longest, shortest, seen = [1], [0], [0], [0], [0.0]
    for node in nodes:
        above = node.inputs
        paths.append(sum(paths[i] for i in above))
        total.append(sum(total[i] + paths[i] for i in above))
        longest.append(1 + max(longest[i] for i in above))
        shortest.append(1 + min(shortest[i] for i in above))
        reach = ops.require(node.operator, ops.Operator).reach(node.parameters)
        seen.append(max(seen[i] for i in above) + reach)
    cost = genome_cost(genome, task)
    embedding = sum(part_parameters(part, task) for part in parts(genome) if part[0] == "embedding")
    merges = [node.merge for node in nodes if len(node.inputs) > 1]
    families = [ops.get(node.operator).family for node in nodes]
    families = [family if family in FAMILIES else "other" for family in families]
    edges = sum(len(node.inputs) for node in nodes)

    def share(part: int, whole: int) -> float:
        return part / whole if whole else 0.0

    return {
        "width": float(genome.width),
        "embedding_width": float(genome.embedding_width),
        "nodes": float(len(nodes)),
        "edges": float(edges + len(outputs)),
        "depth": float(max(longest[i] for i in outputs)),
        "shortest_path": float(min(shortest[i] for i in outputs)),
        "mean_path": sum(total[i] for i in outputs) / sum(paths[i] for i in outputs),
        "paths": float(sum(paths[i] for i in outputs)),
        "mean_inputs": share(edges, len(nodes)),
        "max_inputs": float(max((len(node.inputs) for node in nodes), default=0)),
        "outputs": float(len(outputs)),
        "merges": share(len(merges), len(nodes)),
        "merges_gated": share(merges.count("gated"), len(merges)),
        "residuals": share(sum(node.residual for node in nodes), len(nodes)),
        **{f"family_{name}": share(families.count(name), len(nodes)) for name in FAMILIES},
        "receptive_field": float(min(task.length, 1 + 2 * max(seen[i] for i in outputs))),
        "parameters": float(cost.parameters),
        "flops": float(cost.flops),
        "embedding_share": embedding / cost.parameters,
        **{f"pooling_{name}": float(name == genome.pooling) for name in ops.POOLINGS},
        f"input_{genome.embedding.operator}": 1.0,
        **({} if genome.bound is None else {"bounded": 1.0, "bound": genome.bound}),
        **({"scopes": 1.0} if genome.scopes else {}),
        **{
            name: value
            for encoding in genome.encodings
            for name, value in encoding_descriptors(encoding.name, encoding.parameters).items()
        },
    }


def encoding_descriptors(name: str, parameters: Mapping[str, Value]) -> dict[str, float]:
    """Return numbers that describe an encoding.

    - ``encoding_NAME``: 1.
    - ``encoding_NAME.PARAMETER``: the value of a numeric or boolean parameter.
    - ``encoding_NAME.PARAMETER=VALUE``: 1 for the value of any other parameter.
    """
    found = {f"encoding_{name}": 1.0}
    for parameter, value in parameters.items():
        if isinstance(value, str):
            found[f"encoding_{name}.{parameter}={value}"] = 1.0
        else:
            found[f"encoding_{name}.{parameter}"] = float(value)
    return found


def aligned(rows: Sequence[Mapping[str, float]]) -> Sequence[Mapping[str, float]]:
    """Return the descriptors of several genomes, all with the same names; missing ones are 0."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name, 0.0) for name in names} for row in rows]
