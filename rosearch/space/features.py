"""Genomes as sparse numbers for models that predict their worth: counts, shares and paths."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rosearch import operators as ops
from rosearch.errors import RegistryError
from rosearch.operators.base import Value
from rosearch.space.validation import EMBEDDING, OUTPUT

if TYPE_CHECKING:
    from rosearch.space.genome import Genome

Encoding = Mapping[str, float]
"""Features by name; those that are 0 are left out."""


def encoding(genome: Genome, *, steps: int = 2) -> Encoding:
    """Features of a genome that take microseconds: no part of the student is built or measured.

    Equal for isomorphic genomes. The name before the first colon is the feature's group:

    - ``size:width``, ``size:embedding_width``: logarithms to base 2; ``size:nodes`` and
      ``size:depth``: of their number plus one.
    - ``input:NAME``: 1 for the embedding's operator; ``input:NAME.PARAMETER``, as below.
    - ``output:POOLING``: 1 for the genome's pooling; ``output:reads``: nodes that the output reads.
    - ``operator:NAME``: logarithm to base 2 of one more than the nodes with the operator;
      ``family:NAME``: the same of its family.
    - ``setting:NAME.PARAMETER``: mean over those nodes of the logarithm of a numeric parameter;
      ``setting:NAME.PARAMETER=VALUE``: share of those nodes with a value that is no number.
    - ``node:residual``, ``node:MERGE``: share of the nodes with a residual, or with several inputs
      and that merge.
    - ``path:A>B``: 1 if an edge leads from operator A to B. Edges begin at ``embedding`` and end at
      ``output``. With ``steps=3``, ``path:A>B>C`` for two edges in a row too, and so on: the path
      encoding of White et al. (2021), "BANANAS: Bayesian Optimization with Neural Architectures for
      Neural Architecture Search", section 4, with all short stretches of the paths instead of all
      whole paths, of which a graph of 24 nodes has too many.

    Args:
        genome: The architecture.
        steps: Operators in the longest stretch of a path; 1 leaves paths out.

    Returns:
        A mapping that cannot change. It is kept with the genome, as its key is.
    """
    known: dict[int, Encoding] = genome.__dict__.setdefault("_encodings", {})
    if steps not in known:
        known[steps] = MappingProxyType(_encode(genome, steps))
    return known[steps]


def _encode(genome: Genome, steps: int) -> dict[str, float]:
    nodes = genome.nodes
    features = {
        "size:width": math.log2(genome.width),
        "size:embedding_width": math.log2(genome.embedding_width),
        f"output:{genome.pooling}": 1.0,
        "output:reads": float(len(genome.outputs)),
        f"input:{genome.embedding.operator}": 1.0,
    }
    for name, value in _settings(genome.embedding.operator, genome.embedding.parameters):
        features[f"input:{name}"] = value
    if not nodes:
        return features
    features["size:nodes"] = math.log2(len(nodes) + 1)
    features["size:depth"] = math.log2(_depth(genome) + 1)
    named = Counter(node.operator for node in nodes)
    families: Counter[str] = Counter()
    for operator, count in named.items():
        features[f"operator:{operator}"] = math.log2(count + 1)
        families[_family(operator)] += count
    for family, count in families.items():
        features[f"family:{family}"] = math.log2(count + 1)
    for node in nodes:
        for name, value in _settings(node.operator, node.parameters):
            key = f"setting:{name}"
            features[key] = features.get(key, 0.0) + value / named[node.operator]
        if node.residual:
            features["node:residual"] = features.get("node:residual", 0.0) + 1 / len(nodes)
        if len(node.inputs) > 1:
            key = f"node:{node.merge}"
            features[key] = features.get(key, 0.0) + 1 / len(nodes)
    features.update(dict.fromkeys(_stretches(genome, steps), 1.0))
    return features


def encoded(
    encodings: Sequence[Encoding], names: Sequence[str] | None = None
) -> tuple[npt.NDArray[np.float64], tuple[str, ...]]:
    """Encodings as a matrix.

    Args:
        encodings: One a genome.
        names: The columns; features that are not among them are left out. Default: all features of
            the encodings, sorted.

    Returns:
        The matrix of shape ``(len(encodings), columns)``, and the names of its columns.
    """
    if names is None:
        names = sorted({name for features in encodings for name in features})
    place = {name: column for column, name in enumerate(names)}
    matrix = np.zeros((len(encodings), len(place)))
    for row, features in zip(matrix, encodings, strict=True):
        for name, value in features.items():
            column = place.get(name)
            if column is not None:
                row[column] = value
    return matrix, tuple(names)


def _stretches(genome: Genome, steps: int) -> set[str]:
    """All stretches of 2 to ``steps`` operators along the edges."""
    labels = [EMBEDDING, *(node.operator for node in genome.nodes), OUTPUT]
    inputs = [(), *(node.inputs for node in genome.nodes), genome.outputs]
    ending = [{label} for label in labels]
    found: set[str] = set()
    for _ in range(steps - 1):
        ending = [
            {f"{stretch}>{label}" for i in above for stretch in ending[i]}
            for label, above in zip(labels, inputs, strict=True)
        ]
        found.update(*ending)
    return {f"path:{stretch}" for stretch in found}


def _depth(genome: Genome) -> int:
    """Nodes on the longest path; nodes may be in any order."""
    depth = [0] * (len(genome.nodes) + 1)
    nodes = genome.nodes
    if any(node.inputs[-1] >= k for k, node in enumerate(nodes, start=1)):
        nodes = genome.ordered().nodes
    for k, node in enumerate(nodes, start=1):
        depth[k] = 1 + max(depth[i] for i in node.inputs)
    return max(depth)


@lru_cache(maxsize=4096)
def _settings(operator: str, parameters: Mapping[str, Value]) -> tuple[tuple[str, float], ...]:
    found = []
    for name, value in parameters.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            # Values double from one to the next where they differ much, as sizes do.
            number = math.log2(value) if value > 0 else float(value)
            found.append((f"{operator}.{name}", number))
        else:
            found.append((f"{operator}.{name}={value}", 1.0))
    return tuple(found)


def _family(operator: str) -> str:
    try:
        return str(ops.get(operator).family)
    except RegistryError:  # a genome of a table, whose operator nobody needs here
        return "other"
