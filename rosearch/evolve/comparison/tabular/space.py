"""A search space of the table's genomes only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from rosearch.errors import SpaceError
from rosearch.evolve.comparison.tabular.table import Table
from rosearch.seeding import Seed, generator
from rosearch.space import Genome, SearchSpace


class TabularSpace(SearchSpace):
    """Samples, mutants and children are genomes of the table, near their parents.

    A sample is drawn with equal chances from those that were samples when the table was made
    (:attr:`Table.samples`): drawn from genomes that a search had chosen, random search would be as
    good as that search. Mutants and children may be any. A mutant is one of the ``neighbours``
    nearest genomes, drawn with equal chances; a child is one of the ``neighbours`` for which the
    larger of the two distances to the parents is least. Near is by :func:`distances`; of genomes
    equally far the one first in the table counts as nearer.

    Args:
        table: The table.
        neighbours: How many genomes a mutation chooses among.

    Raises:
        SpaceError: The table has fewer than three genomes or no sample, or ``neighbours`` is below
            1.
    """

    def __init__(self, table: Table, *, neighbours: int = 10) -> None:
        if len(table) < 3 or neighbours < 1:
            raise SpaceError(
                f"Expected a table of at least 3 genomes and neighbours of at least 1, got "
                f"{len(table)} and {neighbours!r}."
            )
        if not table.samples:
            raise SpaceError("The table says that none of its genomes is a random sample.")
        super().__init__()
        self.table = table
        self.count = min(int(neighbours), len(table) - 1)

    @cached_property
    def distances(self) -> npt.NDArray[np.int32]:
        """Of all pairs of the table's genomes, shape ``(genomes, genomes)``."""
        return distances(self.table.genomes)

    @cached_property
    def _nearest(self) -> npt.NDArray[np.int64]:
        apart = self.distances.copy()
        np.fill_diagonal(apart, np.iinfo(apart.dtype).max)
        return np.argsort(apart, axis=1, kind="stable")[:, : self.count]

    def sample(self, *, seed: Seed) -> Genome:
        """Any genome of the table that was a sample, with equal chances."""
        places = self.table.samples
        return self.table.genomes[places[int(generator(seed, "sample").integers(len(places)))]]

    def mutate(self, genome: Genome, *, seed: Seed, kind: str | None = None) -> Genome:
        """One of the nearest genomes.

        Args:
            genome: A genome of the table.
            seed: Same seed, same neighbour; or a generator to draw from.
            kind: Kinds of mutations do not exist here; only ``None`` is allowed.

        Raises:
            SpaceError: ``genome`` is not in the table, or a kind is asked for.
        """
        if kind is not None:
            raise SpaceError(f"A tabular space has no mutation {kind!r}; leave kind out.")
        place = self._place(genome)
        rng = generator(seed, "mutate", genome.key)
        return self.table.genomes[int(self._nearest[place, rng.integers(self.count)])]

    def crossover(self, a: Genome, b: Genome, *, seed: Seed) -> Genome:
        """A genome near both parents, and none of them.

        Raises:
            SpaceError: A parent is not in the table.
        """
        first, second = self._place(a), self._place(b)
        rng = generator(seed, "crossover", a.key, b.key)
        apart = np.maximum(self.distances[first], self.distances[second])
        apart[[first, second]] = np.iinfo(apart.dtype).max
        count = min(self.count, len(self.table) - len({first, second}))
        near = np.argsort(apart, kind="stable")[:count]
        return self.table.genomes[int(near[rng.integers(count)])]

    def violation(self, genome: Genome) -> str | None:
        """Why ``genome`` is outside the space, or ``None`` if it is in the table."""
        return None if genome.key in self.table.index else "it is not in the table"

    def _place(self, genome: Genome) -> int:
        self.require(genome)
        return self.table.index[genome.key]

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that defines the space, as plain values."""
        return {"table": self.table.fingerprint, "neighbours": self.count}

    def __repr__(self) -> str:
        return f"TabularSpace({len(self.table)} genomes, neighbours={self.count})"


def distances(genomes: Sequence[Genome]) -> npt.NDArray[np.int32]:
    """In how many parts any two genomes differ.

    A genome's parts are its width, embedding width, pooling and input; each node twice, once as
    its operator alone and once with parameters, merge and residual, so that other parameters are
    nearer than another operator; and each edge as the two operators that it joins. The distance is
    the number of parts that one has and the other lacks, both ways, equal parts counted as often
    as they occur: an edit distance on the multisets of nodes and edges.

    Returns:
        Shape ``(len(genomes), len(genomes))``, symmetric.
    """
    counts = [Counter(_parts(genome)) for genome in genomes]
    columns = {part: i for i, part in enumerate(dict.fromkeys(p for c in counts for p in c))}
    table = np.zeros((len(counts), len(columns)), dtype=np.int16)
    for row, count in zip(table, counts, strict=True):
        for part, number in count.items():
            row[columns[part]] = number
    return np.array([np.abs(table - row).sum(axis=1, dtype=np.int32) for row in table])


def _parts(genome: Genome) -> Iterator[Hashable]:
    names = [genome.embedding.operator, *(node.operator for node in genome.nodes)]
    yield ("width", genome.width)
    yield ("embedding width", genome.embedding_width)
    yield ("pooling", genome.pooling)
    yield (genome.embedding.operator, tuple(sorted(genome.embedding.parameters.items())))
    for node in genome.nodes:
        yield node.operator
        merge = node.merge if len(node.inputs) > 1 else None
        yield (node.operator, tuple(sorted(node.parameters.items())), merge, node.residual)
        for i in node.inputs:
            yield (names[i], "feeds", node.operator)
    for i in genome.outputs:
        yield (names[i], "is pooled")
