"""A genome under change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from rosearch.space.genome import Genome
from rosearch.space.nodes import Embedding, Node


@dataclass
class Draft:
    """Genes that may change, with every node behind those it reads.

    Node numbers are as in a genome: 0 is the embedding, ``k`` is ``nodes[k - 1]``. What is made of
    a draft is a valid genome whatever was done to it, as long as each node reads some node before
    it: the output reads all that nothing else reads.
    """

    width: int
    embedding_width: int
    pooling: str
    embedding: Embedding
    nodes: list[Node]
    outputs: set[int]

    @classmethod
    def of(cls, genome: Genome) -> Draft:
        """The genome in its canonical order, every node called by its identity."""
        genome = genome.ordered()
        named = zip(genome.nodes, genome.identities, strict=True)
        return cls(
            genome.width,
            genome.embedding_width,
            genome.pooling,
            genome.embedding,
            [
                node if node.identity else node.changed(identity=identity)
                for node, identity in named
            ],
            set(genome.outputs),
        )

    def but(self, **genes: Any) -> Draft:
        """A copy with other genes."""
        changed = replace(self, **genes)
        if changed.nodes is self.nodes:
            changed.nodes = list(self.nodes)
        return changed

    def with_node(self, k: int, node: Node) -> Draft:
        """A copy in which ``nodes[k]`` is another node."""
        nodes = list(self.nodes)
        nodes[k] = node
        return self.but(nodes=nodes)

    def read(self) -> tuple[int, ...]:
        """The nodes that the output reads: those it should, and those that nothing else reads."""
        inner = {i for node in self.nodes for i in node.inputs}
        loose = {number for number in range(1, len(self.nodes) + 1) if number not in inner}
        return tuple(sorted(self.outputs | loose)) or (0,)

    def genome(self) -> Genome:
        """The genome, valid by construction."""
        return Genome.unchecked(
            self.width,
            self.embedding_width,
            self.pooling,
            tuple(self.nodes),
            self.read(),
            self.embedding,
        )
