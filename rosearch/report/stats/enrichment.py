"""Operators, edges and encodings that are more frequent on the front than elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rosearch.report.stats.correlations import RARE
from rosearch.report.stats.records import Enrichment
from rosearch.report.stats.table import load
from rosearch.space import Genome

KINDS = ("operator", "edge", "encoding")
"""Kinds of parts, each with a correction for multiple tests of its own."""


def parts(genome: Genome) -> set[tuple[str, str]]:
    """The operators, edges and encodings of a genome, as ``(kind, name)``.

    Operators include that of the embedding. An edge is named by its two ends, with ``embedding``
    for the input and ``output`` for the pooled output: ``"embedding -> convolution"``.
    """
    names = ["embedding", *(node.operator for node in genome.nodes)]
    found = {("operator", name) for name in (genome.embedding.operator, *names[1:])}
    found |= {("encoding", encoding.name) for encoding in genome.encodings}
    for node in genome.nodes:
        found |= {("edge", f"{names[i]} -> {node.operator}") for i in node.inputs}
    return found | {("edge", f"{names[i]} -> output") for i in genome.outputs}


def enrichment(
    genomes: Sequence[Genome], front: npt.NDArray[np.bool_], *, confidence: float
) -> list[Enrichment]:
    """Fisher's exact test for each operator, edge and encoding; p-values are not corrected.

    The odds ratio is the conditional maximum likelihood estimate and its interval the exact one
    that matches the test (Fisher 1935; Cornfield 1956). What fewer than five architectures have, or
    fewer than five lack, is not tested.

    Args:
        genomes: The architectures.
        front: Mask of those on the front, shape (architectures,).
        confidence: Level of the intervals.

    Returns:
        In the order of :data:`KINDS`, then by name; empty where the front is empty or holds all
        architectures.
    """
    inside, outside = int(front.sum()), int((~front).sum())
    if not inside or not outside:
        return []
    stats = load("scipy.stats")
    having: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, genome in enumerate(genomes):
        for part in parts(genome):
            having[part].append(row)
    records = []
    for kind, name in sorted(having, key=lambda part: (KINDS.index(part[0]), part[1])):
        rows = having[kind, name]
        if min(len(rows), len(genomes) - len(rows)) < RARE:
            continue
        a = int(front[rows].sum())
        b = len(rows) - a
        counts = [[a, b], [inside - a, outside - b]]
        ratio = stats.contingency.odds_ratio(counts, kind="conditional")
        interval = ratio.confidence_interval(confidence)
        records.append(
            Enrichment(
                name=name,
                kind=kind,
                estimate=float(ratio.statistic),
                low=float(interval.low),
                high=float(interval.high),
                p=min(float(stats.fisher_exact(counts).pvalue), 1.0),
                n=len(genomes),
                front_with=a,
                front=inside,
                others_with=b,
                others=outside,
            )
        )
    return records
