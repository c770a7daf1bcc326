"""A genome as parameters of an Optuna trial, so that Optuna's tools can work with a study.

Importances, parallel coordinates and the dashboard read a trial's parameters. A genome is a graph
and has none, so a trial carries what describes it instead: widths, counts, shares of families of
operators. Every trial of a study has the same parameters with the same ranges, which these tools
need. Nothing is read back from them: the genome is an attribute.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
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

_SHARE = FloatDistribution(0.0, 1.0)
_MOST_WIDTH, _MOST_NODES = 1024, 24


def ranges(settings: Mapping[str, Any] | None = None) -> dict[str, BaseDistribution]:
    """Ranges of the parameters of a study.

    They cover the default space and much beyond, and a larger space as far as it goes. Paths and
    the receptive field, which have no end, have one here.

    Args:
        settings: Those of the study, with its ``space``; only the default ranges if omitted.
    """
    space = (settings or {}).get("space", {})
    widths = [*space.get("widths", ()), *space.get("embedding_widths", ()), _MOST_WIDTH]
    nodes = max(_MOST_NODES, *space.get("nodes", (0,)))
    width = IntDistribution(min(8, *widths), max(widths), log=True)
    count, length = IntDistribution(0, nodes), FloatDistribution(0.0, float(nodes))
    return {
        "width": width,
        "embedding_width": width,
        "pooling": CategoricalDistribution(POOLINGS),
        "nodes": count,
        "edges": IntDistribution(0, 4 * nodes),
        "depth": count,
        "shortest_path": count,
        "mean_path": length,
        "paths": IntDistribution(1, 4096, log=True),
        "mean_inputs": length,
        "max_inputs": count,
        "outputs": count,
        "merges": _SHARE,
        "merges_gated": _SHARE,
        "residuals": _SHARE,
        **{f"family_{name}": _SHARE for name in FAMILIES},
        "receptive_field": IntDistribution(1, 512, log=True),
    }


def parameters(
    genome: Genome, described: Mapping[str, float], distributions: Mapping[str, BaseDistribution]
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Parameters of the trial of ``genome``, and their distributions.

    Args:
        genome: The architecture.
        described: Its :func:`~rosearch.space.descriptors.descriptors`. What depends on the teacher
            among them is left out, as the metrics have it.
        distributions: Their ranges, from :func:`ranges`.

    Returns:
        Values by name, one outside its range at the end of it; and the ranges.
    """
    values: dict[str, Any] = {"pooling": genome.pooling}
    for name, distribution in distributions.items():
        if isinstance(distribution, IntDistribution):
            whole = math.floor(min(described[name], distribution.high) + 0.5)
            values[name] = max(distribution.low, whole)
        elif isinstance(distribution, FloatDistribution):
            values[name] = min(max(described[name], distribution.low), distribution.high)
    return {name: values[name] for name in distributions}, dict(distributions)
