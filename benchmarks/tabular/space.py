"""A search space that holds only the genomes of a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from rosearch.errors import SpaceError
from rosearch.seeding import Seed, generator
from rosearch.space import Genome
from tabular.table import Table


class TabularSpace:
    """A search space whose samples, mutants and children are genomes of a table.

    It has the methods of :class:`rosearch.SearchSpace` that an Evolver calls. A sample is drawn
    uniformly from the genomes that were random samples when the table was made
    (:attr:`Table.samples`): drawn from genomes that a search had proposed, random search would be
    as good as that search. Mutants and children may be any genome. A mutant is drawn uniformly from
    the ``neighbours`` nearest genomes, by :func:`distances`; a child from the ``neighbours``
    genomes with the smallest maximum of the distances to both parents. Of equally distant genomes
    the first in the table counts as nearer.

    Args:
        table: The table.
        neighbours: Number of genomes that a mutation draws from.

    Raises:
        SpaceError: The table has fewer than three genomes or no sample, or ``neighbours`` is below
            1.
    """

    def __init__(self, table: Table, *, neighbours: int = 10) -> None:
        if len(table) < 3 or neighbours < 1:
            raise SpaceError(
                f"A tabular space needs a table of at least 3 genomes and neighbours of at least "
                f"1, got {len(table)} and {neighbours!r}."
            )
        if not table.samples:
            raise SpaceError("None of the table's genomes is a random sample.")
        self.table = table
        self.count = min(int(neighbours), len(table) - 1)

    @cached_property
    def distances(self) -> npt.NDArray[np.int32]:
        """Distances of all pairs of genomes, shape ``(genomes, genomes)``."""
        return distances(self.table.genomes)

    @cached_property
    def _nearest(self) -> npt.NDArray[np.int64]:
        apart = self.distances.copy()
        np.fill_diagonal(apart, np.iinfo(apart.dtype).max)
        return np.argsort(apart, axis=1, kind="stable")[:, : self.count]

    def sample(self, *, seed: Seed) -> Genome:
        """A genome of the table that was a random sample."""
        places = self.table.samples
        return self.table.genomes[places[int(generator(seed, "sample").integers(len(places)))]]

    def mutate(self, genome: Genome, *, seed: Seed) -> Genome:
        """One of the nearest genomes.

        Args:
            genome: A genome of the table.
            seed: Equal seeds give equal neighbours; or a generator to draw from.

        Raises:
            SpaceError: ``genome`` is not in the table.
        """
        place = self._place(genome)
        rng = generator(seed, "mutate", genome.key)
        return self.table.genomes[int(self._nearest[place, rng.integers(self.count)])]

    def crossover(self, a: Genome, b: Genome, *, seed: Seed) -> Genome:
        """A genome near both parents that is neither of them.

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

    def require(self, genome: Genome) -> None:
        """Check that ``genome`` is in the table.

        Raises:
            SpaceError: It is not.
        """
        self._place(genome)

    def _place(self, genome: Genome) -> int:
        place = self.table.index.get(genome.key)
        if place is None:
            raise SpaceError(f"Genome {genome.key} is not in the table.")
        return place

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that defines the space, as plain data."""
        return {"table": self.table.fingerprint, "neighbours": self.count}

    def __repr__(self) -> str:
        return f"TabularSpace({len(self.table)} genomes, neighbours={self.count})"


def distances(genomes: Sequence[Genome]) -> npt.NDArray[np.int32]:
    """Number of parts by which any two genomes differ.

    A genome's parts are its width, embedding width, pooling and input; each node twice, once as
    its operator alone and once with parameters, merge and residual, so that other parameters are
    nearer than another operator; and each edge as the two operators that it joins. The distance is
    the number of parts that only one of the two has, counting repeated parts as often as they
    occur: an edit distance on the multisets of nodes and edges.

    Returns:
        Symmetric, shape ``(len(genomes), len(genomes))``.
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
