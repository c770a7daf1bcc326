"""A genome as parameters of an Optuna trial, so that Optuna's tools can work with a study.

Importances, parallel coordinates and the dashboard read a trial's parameters. A genome is a graph
and has none, so a trial carries what describes it instead: widths, counts, shares of families of
operators. Every trial of every study has the same parameters with the same ranges, which these
tools need. Nothing is read back from them: the genome is an attribute.
"""

from __future__ import annotations

import math
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from rosearch.operators import POOLINGS
from rosearch.space import Genome
from rosearch.space.descriptors import FAMILIES

_WIDTH = IntDistribution(8, 1024, log=True)
_COUNT = IntDistribution(0, 24)
_LENGTH = FloatDistribution(0.0, 24.0)
_SHARE = FloatDistribution(0.0, 1.0)
_PATHS = IntDistribution(1, 4096, log=True)

DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "width": _WIDTH,
    "embedding_width": _WIDTH,
    "pooling": CategoricalDistribution(POOLINGS),
    "nodes": _COUNT,
    "edges": IntDistribution(0, 96),
    "depth": _COUNT,
    "shortest_path": _COUNT,
    "mean_path": _LENGTH,
    "paths": _PATHS,
    "mean_inputs": _LENGTH,
    "max_inputs": _COUNT,
    "outputs": _COUNT,
    "merges": _SHARE,
    "merges_gated": _SHARE,
    "residuals": _SHARE,
    **{f"family_{name}": _SHARE for name in FAMILIES},
    "receptive_field": IntDistribution(1, 512, log=True),
}
"""Ranges of the parameters. They cover the default space and much beyond."""


def parameters(
    genome: Genome, described: dict[str, float]
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Parameters of the trial of ``genome``, and their distributions.

    Args:
        genome: The architecture.
        described: Its :func:`~rosearch.space.descriptors.descriptors`. What depends on the teacher
            among them is left out, as the metrics have it.

    Returns:
        Values by name, one outside its range at the end of it; :data:`DISTRIBUTIONS`.
    """
    values: dict[str, Any] = {"pooling": genome.pooling}
    for name, distribution in DISTRIBUTIONS.items():
        if isinstance(distribution, IntDistribution):
            whole = math.floor(min(described[name], distribution.high) + 0.5)
            values[name] = max(distribution.low, whole)
        elif isinstance(distribution, FloatDistribution):
            values[name] = min(max(described[name], distribution.low), distribution.high)
    return {name: values[name] for name in DISTRIBUTIONS}, dict(DISTRIBUTIONS)
