"""A mutable genome."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from rosearch.encode.base import Level
from rosearch.space.genome import Genome
from rosearch.space.nodes import LEVELS, Embedding, Node, TextEncoding, changed, unchecked


@dataclass
class Draft:
    """The fields of a genome, with every node after those it reads.

    Node numbers are as in a genome: 0 is the embedding, ``k`` is ``nodes[k - 1]``. A draft gives a
    valid genome as long as each node reads some node before it, since the output also reads every
    node that no other node reads.
    """

    width: int
    embedding_width: int
    pooling: str
    embedding: Embedding
    nodes: list[Node]
    outputs: set[int]
    encodings: Mapping[Level, TextEncoding | None] = field(default_factory=dict)
    """By level; ``None`` or missing: none."""
    bound: float | None = None
    scopes: bool = False

    @classmethod
    def of(cls, genome: Genome) -> Draft:
        """Return a draft of a genome in canonical order, with the identity of every node."""
        genome = genome.ordered()
        named = zip(genome.nodes, genome.identities, strict=True)
        nodes = [n if n.identity else changed(n, identity=identity) for n, identity in named]
        sizes = genome.width, genome.embedding_width, genome.pooling
        encodings = {encoding.level: encoding for encoding in genome.encodings}
        outputs = set(genome.outputs)
        return cls(*sizes, genome.embedding, nodes, outputs, encodings, genome.bound, genome.scopes)

    def with_node(self, k: int, node: Node) -> Draft:
        """Return a copy in which ``nodes[k]`` is another node."""
        return changed(self, nodes=[*self.nodes[:k], node, *self.nodes[k + 1 :]])

    def read_by_output(self) -> tuple[int, ...]:
        """Return the nodes that the output reads: ``outputs``, and those that no node reads."""
        inner = {i for node in self.nodes for i in node.inputs}
        loose = {number for number in range(1, len(self.nodes) + 1) if number not in inner}
        return tuple(sorted(self.outputs | loose)) or (0,)

    def genome(self) -> Genome:
        """Return the genome, which is valid by construction."""
        sizes = self.width, self.embedding_width, self.pooling
        nodes, outputs = tuple(self.nodes), self.read_by_output()
        encodings = tuple(filter(None, map(self.encodings.get, LEVELS)))
        scores = self.bound, self.scopes and self.bound is not None
        return unchecked(Genome, *sizes, nodes, outputs, self.embedding, encodings, *scores)


class Change:
    """A change of a draft. The new draft is made when it is asked for, since few changes are kept.

    Args:
        make: Makes the new draft.
        gone: The node that gives way, if the change is one of a node and nothing else costs more or
            less.
        new: The node that comes, likewise.
    """

    __slots__ = ("gone", "make", "new")

    def __init__(
        self, make: Callable[[], Draft], gone: Node | None = None, new: Node | None = None
    ) -> None:
        self.make = make
        self.gone = gone
        self.new = new

    @classmethod
    def to(cls, draft: Draft) -> Change:
        """Return a change to a draft that has been made."""
        return cls(lambda: draft)

    @classmethod
    def of_node(cls, draft: Draft, k: int, node: Node) -> Change:
        """Return the exchange of ``nodes[k]`` of a draft for a node with as many inputs."""
        return cls(partial(draft.with_node, k, node), draft.nodes[k], node)
