"""Descriptors of a genome as parameters of its Optuna trial.

Optuna's importances, plots and dashboard read the parameters of a trial. A genome is a graph and
has none, so its trial carries descriptors instead: widths, counts, the shares of operator
families, the pooling, the input, and encodings. All trials of a study have the same parameters with
the same ranges, as these tools require. rosearch itself never reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from rosearch.operators import EMBEDDINGS, POOLINGS
from rosearch.parameters import Value
from rosearch.space import Genome
from rosearch.space.descriptors import FAMILIES, encoding_descriptors

_OTHER = "other"
"""The value of an input that the study's space does not name."""

_SHARES = ("residuals", *(f"family_{name}" for name in FAMILIES))


def distributions(space: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """The ranges of the parameters of a study.

    They cover the default space and more, and a larger space as far as it goes. A study has
    parameters of encodings, bounds and scopes only if its space has any.

    Args:
        space: The settings of the search space.
    """
    widths = [8, 1024, *space.get("widths", ()), *space.get("embedding_widths", ())]
    nodes = max(24, *space.get("nodes", (0,)))
    width = IntDistribution(min(widths), max(widths), log=True)
    return {
        "width": width,
        "embedding_width": width,
        "pooling": CategoricalDistribution(POOLINGS),
        "input": CategoricalDistribution(
            [*sorted({*EMBEDDINGS, *space.get("embeddings", ())}), _OTHER]
        ),
        "nodes": IntDistribution(0, nodes),
        "edges": IntDistribution(0, 4 * nodes),
        "depth": IntDistribution(0, nodes),
        **dict.fromkeys(_SHARES, FloatDistribution(0.0, 1.0)),
        **_bound_distributions(space.get("bounds", ())),
        **({"scopes": FloatDistribution(0.0, 1.0)} if space.get("scopes") else {}),
        **_encoding_distributions(space.get("encodings", {})),
    }


def _bound_distributions(bounds: Sequence[float | None]) -> dict[str, FloatDistribution]:
    found = [bound for bound in bounds if bound is not None]
    if not found:
        return {}
    return {"bounded": FloatDistribution(0.0, 1.0), "bound": FloatDistribution(0.0, max(found))}


def _encoding_distributions(
    encodings: Mapping[str, Mapping[str, Sequence[Value]]],
) -> dict[str, FloatDistribution]:
    ends: dict[str, tuple[float, float]] = {}
    for name, choices in encodings.items():
        single = [{parameter: value} for parameter, values in choices.items() for value in values]
        for parameters in ({}, *single):
            for described, value in encoding_descriptors(name, parameters).items():
                low, high = ends.get(described, (0.0, 0.0))  # 0: without the encoding
                ends[described] = min(low, value), max(high, value)
    return {name: FloatDistribution(*both) for name, both in ends.items()}


def parameters(
    genome: Genome, described: Mapping[str, float], ranges: Mapping[str, BaseDistribution]
) -> dict[str, Any]:
    """The parameters of the trial of ``genome``.

    Args:
        genome: The architecture.
        described: Its :func:`~rosearch.space.descriptors.descriptors`.
        ranges: The result of :func:`distributions`. A value outside its range is set to the
            nearest end.
    """
    known = ranges["input"].choices  # type: ignore[attr-defined]
    operator = genome.embedding.operator
    values: dict[str, Any] = {
        "pooling": genome.pooling,
        "input": operator if operator in known else _OTHER,
    }
    for name, distribution in ranges.items():
        if isinstance(distribution, (IntDistribution, FloatDistribution)):
            kind = int if isinstance(distribution, IntDistribution) else float
            value = kind(described.get(name, 0.0))
            values[name] = min(max(value, distribution.low), distribution.high)
    return values
