"""A student architecture as data: a frozen record that hashes, pickles and turns into JSON."""

from __future__ import annotations

import heapq
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import networkx as nx

from rosearch.errors import GenomeError
from rosearch.space.canonical import canonical_form
from rosearch.space.nodes import Embedding, Node, numbers
from rosearch.space.validation import EMBEDDING, OUTPUT, check_genome, check_graph

if TYPE_CHECKING:
    import os


@dataclass(frozen=True)
class Genome:
    """A student architecture: an acyclic graph of nodes between an embedding and a pooled output.

    Each output node's hidden states are pooled to a vector; the vectors are summed, normalised
    and classified. A genome is checked when it is made, so every genome is a valid one.

    Args:
        width: Channels of every hidden state.
        embedding_width: Inner width of the factorised embedding (vocabulary times this).
        pooling: One of :data:`rosearch.operators.POOLINGS`.
        nodes: The computations, in any order.
        outputs: Numbers of the nodes that are pooled; the last node (or, without any node,
            the embedding) if omitted.
        embedding: The input, or its operator's name.

    Raises:
        GenomeError: The graph has a cycle, a dead node or a missing input, or a value is
            out of range; the message names it.
    """

    width: int
    embedding_width: int
    pooling: str = "mean"
    nodes: tuple[Node, ...] = ()
    outputs: tuple[int, ...] = ()
    embedding: Embedding = field(default_factory=Embedding)

    def __post_init__(self) -> None:
        source: Any = self.embedding
        if isinstance(source, str):
            source = Embedding(source)
        if not isinstance(source, Embedding):
            raise GenomeError(f"Expected the embedding as an Embedding, got {source!r:.200}.")
        object.__setattr__(self, "embedding", source)
        given: Any = self.nodes
        nodes = tuple(given) if isinstance(given, (tuple, list)) else (given,)
        if not all(isinstance(node, Node) for node in nodes):
            raise GenomeError(f"Expected nodes as a tuple of Node, got {self.nodes!r:.200}.")
        object.__setattr__(self, "nodes", nodes)
        outputs = numbers(self.outputs, "outputs") or (len(self.nodes),)
        object.__setattr__(self, "outputs", outputs)
        check_genome(self)

    @classmethod
    def unchecked(
        cls,
        width: int,
        embedding_width: int,
        pooling: str,
        nodes: tuple[Node, ...],
        outputs: tuple[int, ...],
        embedding: Embedding,
    ) -> Genome:
        """A genome of values that are known to be good, with ``outputs`` given and sorted.

        For the random moves: each makes valid genomes by construction, and the tests have networkx
        check what they make. Whatever comes from outside goes through the constructor.
        """
        genome = object.__new__(cls)
        genome.__dict__.update(
            width=width,
            embedding_width=embedding_width,
            pooling=pooling,
            nodes=nodes,
            outputs=outputs,
            embedding=embedding,
        )
        return genome

    @cached_property
    def key(self) -> str:
        """Identity of the architecture: equal exactly for isomorphic graphs with equal genes."""
        return self._form[0]

    @property
    def identities(self) -> tuple[str, ...]:
        """What each of ``nodes`` is called through mutations and crossovers.

        A node that was given no identity is called by :attr:`key` and its place in
        :meth:`ordered`, which do not depend on how the nodes are numbered.
        """
        place = {v: k for k, v in enumerate(self._form[1])}
        return tuple(
            node.identity or f"{self.key}.{place[number]}"
            for number, node in enumerate(self.nodes, start=1)
        )

    @cached_property
    def _form(self) -> tuple[str, tuple[int, ...]]:
        return canonical_form(self)

    def graph(self) -> nx.DiGraph:
        """The networkx view.

        Nodes are ``"embedding"``, 1 to ``len(nodes)``, and ``"output"``. The numbered ones have
        the attributes operator, parameters, merge, residual and, where it was given, identity; the
        embedding has source (its operator) and parameters; ``graph.graph`` holds width,
        embedding_width and pooling.
        """
        graph = nx.DiGraph(
            width=self.width, embedding_width=self.embedding_width, pooling=self.pooling
        )
        source = self.embedding
        graph.add_node(
            EMBEDDING,
            operator=EMBEDDING,
            source=source.operator,
            parameters=dict(source.parameters),
        )
        for number, node in enumerate(self.nodes, start=1):
            graph.add_node(
                number,
                operator=node.operator,
                parameters=dict(node.parameters),
                merge=node.merge,
                residual=node.residual,
                **_given(node),
            )
        graph.add_node(OUTPUT, operator=OUTPUT)
        for number, node in enumerate(self.nodes, start=1):
            graph.add_edges_from((i or EMBEDDING, number) for i in node.inputs)
        graph.add_edges_from((i or EMBEDDING, OUTPUT) for i in self.outputs)
        return graph

    @classmethod
    def from_graph(cls, graph: nx.DiGraph) -> Genome:
        """From a networkx graph as :meth:`graph` gives it, its nodes named in any way.

        One node has ``operator="embedding"``, one ``operator="output"``; parameters, merge,
        residual and the embedding's source may be missing and get their defaults.

        Raises:
            GenomeError: The graph is no student architecture.
        """
        source, sink = check_graph(graph)
        order = [v for v in nx.topological_sort(graph) if v not in (source, sink)]
        number = {source: 0, **{v: i for i, v in enumerate(order, start=1)}}
        nodes = []
        for v in order:
            genes = {k: x for k, x in graph.nodes[v].items() if k in _NODE_FIELDS and k != "inputs"}
            nodes.append(Node(**genes, inputs=tuple(number[u] for u in graph.predecessors(v))))
        missing = [k for k in ("width", "embedding_width") if k not in graph.graph]
        if missing:
            raise GenomeError(f"Expected graph.graph[{missing[0]!r}] to hold a whole number.")
        start = graph.nodes[source]
        return cls(
            embedding=Embedding(
                start.get("source", Embedding().operator), start.get("parameters", {})
            ),
            width=graph.graph["width"],
            embedding_width=graph.graph["embedding_width"],
            pooling=graph.graph.get("pooling", "mean"),
            nodes=tuple(nodes),
            outputs=tuple(number[u] for u in graph.predecessors(sink)),
        )

    def ordered(self) -> Genome:
        """The same architecture, numbered in the one way that isomorphic genomes share.

        Every node stands behind its inputs.
        """
        return self._ordered

    @cached_property
    def _ordered(self) -> Genome:
        # As nx.lexicographical_topological_sort by canonical place, in a fraction of its time.
        rank = {v: k for k, v in enumerate(self._form[1])}
        waiting = [0] + [len(node.inputs) for node in self.nodes]
        readers: list[list[int]] = [[] for _ in waiting]
        for number, node in enumerate(self.nodes, start=1):
            for i in node.inputs:
                readers[i].append(number)
        ready = [(rank[0], 0)]
        order = []
        while ready:
            _, v = heapq.heappop(ready)
            order.append(v)
            for reader in readers[v]:
                waiting[reader] -= 1
                if not waiting[reader]:
                    heapq.heappush(ready, (rank[reader], reader))
        place = {v: k for k, v in enumerate(order)}
        ordered = Genome.unchecked(
            self.width,
            self.embedding_width,
            self.pooling,
            tuple(
                self.nodes[v - 1].changed(
                    inputs=tuple(sorted(place[i] for i in self.nodes[v - 1].inputs))
                )
                for v in order[1:]
            ),
            tuple(sorted(place[i] for i in self.outputs)),
            self.embedding,
        )
        form = self._form[0], tuple(place[v] for v in self._form[1])
        ordered.__dict__["_form"] = form
        return ordered

    def __getstate__(self) -> dict[str, Any]:
        # Without what can be computed again; the canonical form is quick.
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON and Hugging Face configurations hold them."""
        nodes = [
            {
                "operator": node.operator,
                "parameters": dict(node.parameters),
                "inputs": list(node.inputs),
                "merge": node.merge,
                "residual": node.residual,
                **_given(node),
            }
            for node in self.nodes
        ]
        return {
            "width": self.width,
            "embedding_width": self.embedding_width,
            "pooling": self.pooling,
            "embedding": {
                "operator": self.embedding.operator,
                "parameters": dict(self.embedding.parameters),
            },
            "nodes": nodes,
            "outputs": list(self.outputs),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Genome:
        """Inverse of :meth:`to_dict`.

        Raises:
            GenomeError: A field is unknown or missing, or the genome is not valid.
        """
        _check_fields(values, _GENOME_FIELDS, "genome", required=("width", "embedding_width"))
        listed = values.get("nodes", ())
        if not isinstance(listed, (tuple, list)):
            raise GenomeError(f"Expected the nodes as a list, got {listed!r:.200}.")
        for number, genes in enumerate(listed, start=1):
            _check_fields(genes, _NODE_FIELDS, f"node {number}", required=("operator",))
        source = values.get("embedding", {})
        _check_fields(source, _EMBEDDING_FIELDS, "embedding", required=())
        nodes = tuple(Node(**genes) for genes in listed)
        return cls(**{**values, "nodes": nodes, "embedding": Embedding(**source)})

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Genome:
        """Inverse of :meth:`to_json`.

        Raises:
            GenomeError: The text is no JSON, or no valid genome.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise GenomeError(f"Expected a genome as JSON, got {text!r:.80}: {error}") from error
        return cls.from_dict(values)

    def draw(self, path: str | os.PathLike[str] | None = None, *, title: str | None = None) -> Any:
        """A picture of the graph as a matplotlib figure; see :func:`rosearch.space.picture.draw`.

        Args:
            path: Where to save it; the suffix says how: ``.svg``, ``.png``, ``.pdf``.
            title: Above the picture; the key and the widths if omitted.

        Raises:
            MissingResourceError: matplotlib is not installed.
        """
        from rosearch.space.picture import draw

        return draw(self, path, title=title)

    def _repr_svg_(self) -> str | None:
        from rosearch.space.picture import svg

        return svg(self)

    def __str__(self) -> str:
        head = (
            f"Genome {self.key}: width {self.width}, {self.embedding} of width "
            f"{self.embedding_width}, {self.pooling} pooling"
        )
        rows = []
        for number, node in enumerate(self.nodes, start=1):
            inputs = ", ".join(_label(i) for i in node.inputs)
            reads = f"{node.merge} of {inputs}" if len(node.inputs) > 1 else inputs
            rows.append((str(number), str(node), reads, "+ input" * node.residual))
        rows.append(("output", "", ", ".join(_label(i) for i in self.outputs), ""))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            f"  {row[0]:>{widths[0]}}  {row[1]:<{widths[1]}}  <- {row[2]:<{widths[2]}}  {row[3]}"
            for row in rows
        ]
        return "\n".join([head, *(line.rstrip() for line in lines)])


_EMBEDDING_FIELDS = tuple(f.name for f in fields(Embedding))
_NODE_FIELDS = tuple(f.name for f in fields(Node))
_GENOME_FIELDS = tuple(f.name for f in fields(Genome))


def _given(node: Node) -> dict[str, str]:
    return {"identity": node.identity} if node.identity else {}


def _label(number: int) -> str:
    return str(number) if number else EMBEDDING


def _check_fields(
    values: object, known: tuple[str, ...], what: str, *, required: tuple[str, ...]
) -> None:
    if not isinstance(values, Mapping):
        raise GenomeError(
            f"Expected the {what} as an object with {', '.join(known)}; got {values!r}."
        )
    unknown = [k for k in values if k not in known]
    missing = [k for k in required if k not in values]
    if unknown or missing:
        raise GenomeError(
            f"The {what} has "
            + (f"the unknown field {unknown[0]!r}" if unknown else f"no {missing[0]!r}")
            + f"; its fields are {', '.join(known)}."
        )
