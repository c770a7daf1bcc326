"""A small table for tests, its figures computed."""

from __future__ import annotations

from functools import cache

from tabular import Table

from tests.evolve.evaluations import SPACE, synthetic


@cache
def small_table(size: int = 60) -> Table:
    """Half samples and half mutants of them, at two rungs; the lower one is less exact."""
    genomes = {}
    for number in range(size):
        genome = SPACE.sample(seed=number)
        genomes[genome.key] = genome
        mutant = SPACE.mutate(genome, seed=number)
        genomes[mutant.key] = mutant
    kept = tuple(genomes.values())[:size]
    high = [
        {**synthetic(g, seed=int(g.key, 36)), "parameters": 1000.0 * len(g.nodes)} for g in kept
    ]
    low = [
        {**row, "accuracy": row["accuracy"] - 0.1 + 0.05 * (i % 2), "seconds": 2.0}
        for i, row in enumerate(high)
    ]
    return Table(
        kept,
        (tuple(low), tuple({**row, "seconds": 9.0 + i % 3} for i, row in enumerate(high))),
        {"data": "computed"},
    )
