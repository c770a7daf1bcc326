"""Numbers that describe an architecture: the raw material of statistics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rosearch import operators as ops
from rosearch.errors import MissingResourceError
from rosearch.space.cost.additive import Task, genome_cost, part_parameters, parts

if TYPE_CHECKING:
    from rosearch.space.genome import Genome

FAMILIES = (
    "attention",
    "convolution",
    "recurrence",
    "feed-forward",
    "mixing",
    "pooling",
    "identity",
    "other",
)
"""Families that have a column of their own; every other word counts as ``"other"``."""


def descriptors(genome: Genome, *, teacher: Any = None) -> dict[str, float]:
    """What the architecture looks like, as plain numbers.

    Paths lead from the embedding to the output along the edges of the graph; their length is the
    number of nodes on them.

    - ``width``, ``embedding_width``: as in the genome.
    - ``nodes``: number of nodes.
    - ``edges``: number of edges, those from the embedding and to the output included.
    - ``depth``: nodes on the longest path; ``shortest_path``, ``mean_path``: on the shortest, and
      on average over all paths.
    - ``paths``: number of paths.
    - ``mean_inputs``, ``max_inputs``: inputs of a node (0 without nodes); ``outputs``: nodes that
      the output reads.
    - ``merges``: share of the nodes that have several inputs; ``merges_gated``: share of those that
      are gated.
    - ``residuals``: share of the nodes with a residual.
    - ``family_NAME``: share of the nodes whose operator is of that family, for each of
      :data:`FAMILIES` (0 without nodes).
    - ``receptive_field``: tokens that the widest path of an output node sees, at most
      the length of the text that FLOPs are for; 1 sees single tokens.
    - ``parameters``, ``flops``: of the student, FLOPs for one text.
    - ``embedding_share``: share of the embedding in the parameters.
    - ``pooling_NAME``: 1 for the genome's pooling, else 0.

    Args:
        genome: The architecture.
        teacher: A Teacher or a :class:`~rosearch.space.Task`, which parameters and FLOPs depend on;
            an uncased English BERT's sizes and two classes by default.
    """
    task = Task() if teacher is None else Task.of(teacher)
    genome = genome.ordered()
    nodes, count = genome.nodes, len(genome.nodes)
    paths, total, longest, shortest, seen = [1], [0], [0], [0], [0.0]
    for node in nodes:
        above = node.inputs
        paths.append(sum(paths[i] for i in above))
        total.append(sum(total[i] + paths[i] for i in above))
        longest.append(1 + max(longest[i] for i in above))
        shortest.append(1 + min(shortest[i] for i in above))
        # A residual passes its input on, so it sees no less.
        reach = ops.require(node.operator, ops.Operator).reach(node.parameters)
        seen.append(max(seen[i] for i in above) + reach)
    ends = genome.outputs
    cost = genome_cost(genome, task)
    entry = part_parameters(next(parts(genome, ends)), task)  # the input comes first
    several = [node for node in nodes if len(node.inputs) > 1]
    families = [ops.get(node.operator).family for node in nodes]
    edges = sum(len(node.inputs) for node in nodes)

    def share(part: int, whole: int) -> float:
        return part / whole if whole else 0.0

    return {
        "width": float(genome.width),
        "embedding_width": float(genome.embedding_width),
        "nodes": float(count),
        "edges": float(edges + len(ends)),
        "depth": float(max(longest[i] for i in ends)),
        "shortest_path": float(min(shortest[i] for i in ends)),
        "mean_path": sum(total[i] for i in ends) / sum(paths[i] for i in ends),
        "paths": float(sum(paths[i] for i in ends)),
        "mean_inputs": share(edges, count),
        "max_inputs": float(max((len(node.inputs) for node in nodes), default=0)),
        "outputs": float(len(ends)),
        "merges": share(len(several), count),
        "merges_gated": share(sum(node.merge == "gated" for node in several), len(several)),
        "residuals": share(sum(node.residual for node in nodes), count),
        **{
            f"family_{name}": share(
                sum((f if f in FAMILIES else "other") == name for f in families), count
            )
            for name in FAMILIES
        },
        "receptive_field": float(min(task.length, 1 + 2 * max(seen[i] for i in ends))),
        "parameters": float(cost.parameters),
        "flops": float(cost.flops),
        "embedding_share": entry / cost.parameters,
        **{f"pooling_{name}": float(name == genome.pooling) for name in ops.POOLINGS},
    }


def descriptor_table(genomes: Iterable[Genome], *, teacher: Any = None) -> Any:
    """A pandas DataFrame with a row for each genome: its key as the index, then the descriptors.

    Args:
        genomes: The architectures, in the order of the rows.
        teacher: As for :func:`descriptors`.

    Raises:
        MissingResourceError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingResourceError(
            "descriptor_table needs pandas: pip install 'rosearch[pandas]'. "
            "[descriptors(genome) for genome in genomes] does without it."
        ) from error
    genomes = list(genomes)
    rows = [descriptors(genome, teacher=teacher) for genome in genomes]
    index = pd.Index([genome.key for genome in genomes], name="key")
    return pd.DataFrame(rows, index=index)
