"""Sparse numeric features of genomes, for surrogate models: counts, shares and paths."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from rosearch import operators as ops
from rosearch.parameters import Value
from rosearch.space.canonical import topological_order
from rosearch.space.genome import Genome
from rosearch.space.nodes import EMBEDDING, OUTPUT

GenomeFeatures = Mapping[str, float]
"""Features by name; those that are 0 are left out."""


def features(genome: Genome, *, steps: int = 2) -> GenomeFeatures:
    """Return features of a genome, in microseconds: no part of the student is built or measured.

    They are equal for isomorphic genomes. The name before the first colon is the feature's group:

    - ``size:width``, ``size:embedding_width``: logarithms to base 2; ``size:nodes`` and
      ``size:depth``: of their number plus one.
    - ``input:NAME``: 1 for the embedding's operator; ``input:NAME.PARAMETER``, as below.
    - ``input:encoding:NAME``: 1 for each encoding; ``input:encoding:NAME.PARAMETER``: logarithm of
      a numeric parameter plus one, so that a genome without the encoding, which has 0, is next to
      one with a small value; ``input:encoding:NAME.PARAMETER=VALUE``: 1 for any other value.
    - ``output:POOLING``: 1 for the genome's pooling; ``output:reads``: nodes that the output reads;
      ``output:bounded``: 1 for a genome with a bound, and ``output:bound``: its value;
      ``output:scopes``: 1 if its token scores depend on scopes.
    - ``operator:NAME``: logarithm to base 2 of the number of nodes with the operator plus one;
      ``family:NAME``: the same of its family.
    - ``setting:NAME.PARAMETER``: mean over those nodes of the logarithm of a numeric parameter;
      ``setting:NAME.PARAMETER=VALUE``: share of those nodes with a value that is not a number.
    - ``node:residual``, ``node:MERGE``: share of the nodes with a residual, or with several inputs
      and that merge.
    - ``path:A>B``: 1 if an edge leads from operator A to B. Edges begin at ``embedding`` and end at
      ``output``. With ``steps=3`` also ``path:A>B>C`` for two consecutive edges, and so on: the
      path encoding of White et al. (2021), "BANANAS: Bayesian Optimization with Neural
      Architectures for Neural Architecture Search", section 4, with all short sections of paths
      instead of all whole paths, of which a graph of 24 nodes has too many.

    Args:
        genome: The architecture.
        steps: Maximum number of operators in a section of a path; 1 leaves paths out.

    Returns:
        A read-only mapping.
    """
    nodes, embedding = genome.nodes, genome.embedding
    found = defaultdict(
        float,
        {
            "size:width": math.log2(genome.width),
            "size:embedding_width": math.log2(genome.embedding_width),
            f"output:{genome.pooling}": 1.0,
            "output:reads": float(len(genome.outputs)),
            f"input:{embedding.operator}": 1.0,
        },
    )
    if genome.bound is not None:
        scopes = {"output:scopes": 1.0} if genome.scopes else {}
        found |= {"output:bounded": 1.0, "output:bound": genome.bound, **scopes}
    for name, value in _settings(embedding.operator, embedding.parameters):
        found[f"input:{name}"] = value
    for encoding in genome.encodings:
        found[f"input:encoding:{encoding.name}"] = 1.0
        for name, value in _settings(encoding.name, encoding.parameters, plus=1):
            found[f"input:encoding:{name}"] = value
    if not nodes:
        return MappingProxyType(dict(found))
    found["size:nodes"] = math.log2(len(nodes) + 1)
    found["size:depth"] = math.log2(_depth(genome) + 1)
    operators = Counter(node.operator for node in nodes)
    families: Counter[str] = Counter()
    for operator, count in operators.items():
        found[f"operator:{operator}"] = math.log2(count + 1)
        families[ops.get(operator).family] += count
    for family, count in families.items():
        found[f"family:{family}"] = math.log2(count + 1)
    for node in nodes:
        for name, value in _settings(node.operator, node.parameters):
            found[f"setting:{name}"] += value / operators[node.operator]
        if node.residual:
            found["node:residual"] += 1 / len(nodes)
        if len(node.inputs) > 1:
            found[f"node:{node.merge}"] += 1 / len(nodes)
    found.update(dict.fromkeys(_paths(genome, steps), 1.0))
    return MappingProxyType(dict(found))


def feature_matrix(
    rows: Sequence[GenomeFeatures], names: Sequence[str] | None = None
) -> tuple[npt.NDArray[np.float64], tuple[str, ...]]:
    """Return features as a matrix.

    Args:
        rows: The features of each genome.
        names: The columns; other features are left out. Default: all features that occur, sorted.

    Returns:
        The matrix ``(len(rows), columns)``, and the names of its columns.
    """
    if names is None:
        names = sorted(set().union(*rows))
    place = {name: k for k, name in enumerate(names)}
    matrix = np.zeros((len(rows), len(names)))
    for values, row in zip(matrix, rows, strict=True):
        known = [name for name in row if name in place]
        values[[place[name] for name in known]] = [row[name] for name in known]
    return matrix, tuple(names)


def _paths(genome: Genome, steps: int) -> set[str]:
    """Return all sections of 2 to ``steps`` operators along the edges."""
    labels = [EMBEDDING, *(node.operator for node in genome.nodes), OUTPUT]
    inputs = [(), *(node.inputs for node in genome.nodes), genome.outputs]
    ending: list[set[tuple[str, ...]]] = [{(label,)} for label in labels]
    found: set[tuple[str, ...]] = set()
    for _ in range(steps - 1):
        ending = [
            {(*path, label) for i in above for path in ending[i]}
            for label, above in zip(labels, inputs, strict=True)
        ]
        found.update(*ending)
    return {"path:" + ">".join(path) for path in found}


def _depth(genome: Genome) -> int:
    """Return the number of nodes on the longest path."""
    depth = [0] * (len(genome.nodes) + 1)
    # Any order in which nodes follow their inputs will do.
    for v in topological_order(genome.nodes, range(len(depth)))[1:]:
        depth[v] = 1 + max(depth[i] for i in genome.nodes[v - 1].inputs)
    return max(depth)


@lru_cache(maxsize=4096)
def _settings(
    part: str, parameters: Mapping[str, Value], *, plus: int = 0
) -> tuple[tuple[str, float], ...]:
    """Return the parameters of a part as numbers; ``plus`` is added before the logarithm."""
    found = []
    for name, value in parameters.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            # Where values differ much, as sizes do, each is about twice the one before.
            number = math.log2(value + plus) if value > 0 else float(value)
            found.append((f"{part}.{name}", number))
        else:
            found.append((f"{part}.{name}={value}", 1.0))
    return tuple(found)
