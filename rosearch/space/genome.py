"""A student architecture as data: a frozen record that can be hashed, pickled and saved as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cached_property
from typing import Any

import networkx as nx

from rosearch.checks import did_you_mean
from rosearch.errors import GenomeError
from rosearch.operators import POOLINGS
from rosearch.space.canonical import canonical_form, node_labels, topological_order
from rosearch.space.nodes import (
    EMBEDDING,
    OUTPUT,
    Embedding,
    Node,
    TextEncoding,
    changed,
    node_numbers,
)
from rosearch.space.picture import draw_graph
from rosearch.space.validation import (
    check_attributes,
    check_bound,
    check_choice,
    check_encodings,
    check_graph,
    check_nodes,
)


@dataclass(frozen=True)
class Genome:
    """A student architecture: an acyclic graph of nodes between an embedding and a pooled output.

    Each output node's hidden states are pooled to a vector; the vectors are summed, normalised
    and classified. A genome is checked when it is created, so every genome is valid.

    Args:
        width: Channels of all hidden states.
        embedding_width: Inner width of the factorised embedding (vocabulary times this).
        pooling: One of :data:`rosearch.operators.POOLINGS`.
        nodes: The computations, in any order.
        outputs: Numbers of the nodes that are pooled; by default the last node, or the embedding
            if there are no nodes.
        embedding: The embedding, or its operator's name.
        encodings: How texts are rewritten before they are tokenised, or the names: at most one
            encoding of each level, that of characters before that of words. Default: not at all.
        bound: How far the graph may move the answer from a sum of token scores. With a number, the
            student's logits are the sum of its tokens' scores plus ``bound / 2 * tanh`` of the
            graph's logits, so the graph moves the margin between two classes by at most ``bound``;
            0 leaves the scores alone and needs no graph. ``None``: the graph's logits alone.
        scopes: With a bound, whether the scores of a token depend on the scope it stands in:
            negated or not, before or after a contrast; see
            :class:`~rosearch.operators.TokenScores`.

    Raises:
        GenomeError: The graph has a cycle, a dead node or a missing input, or a value is
            out of range; the message names it.
        RegistryError: An operator or encoding is not registered.
    """

    width: int
    embedding_width: int
    pooling: str = "mean"
    nodes: tuple[Node, ...] = ()
    outputs: tuple[int, ...] = ()
    embedding: Embedding = field(default_factory=Embedding)
    encodings: tuple[TextEncoding, ...] = ()
    bound: float | None = None
    scopes: bool = False

    def __post_init__(self) -> None:
        embedding: Any = self.embedding
        if isinstance(embedding, str):
            embedding = Embedding(embedding)
        if not isinstance(embedding, Embedding):
            raise GenomeError(f"embedding must be an Embedding, got {embedding!r:.200}.")
        nodes: Any = self.nodes
        if not isinstance(nodes, (tuple, list)) or not all(isinstance(n, Node) for n in nodes):
            raise GenomeError(f"nodes must be a tuple of Node, got {nodes!r:.200}.")
        outputs = node_numbers(self.outputs, "outputs") or (len(nodes),)
        object.__setattr__(self, "embedding", embedding)
        object.__setattr__(self, "nodes", tuple(nodes))
        object.__setattr__(self, "outputs", outputs)
        object.__setattr__(self, "encodings", check_encodings(self.encodings))
        object.__setattr__(self, "bound", check_bound(self.bound, has_nodes=bool(nodes)))
        scopes: Any = self.scopes
        if not isinstance(scopes, bool) or (scopes and self.bound is None):
            raise GenomeError(
                f"scopes must be True or False, and False without a bound, got {scopes!r:.200}."
            )
        for name in ("width", "embedding_width"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise GenomeError(f"{name} must be a whole number from 1, got {value!r}.")
        check_choice("pooling", self.pooling, POOLINGS)
        check_nodes(self.width, embedding, self.nodes, outputs)
        check_graph(self.graph())

    @cached_property
    def key(self) -> str:
        """Key of the architecture: equal exactly for isomorphic graphs with equal values."""
        return self._canonical_form[0]

    @property
    def identities(self) -> tuple[str, ...]:
        """Names of the ``nodes`` that persist through mutations and crossovers.

        A node without an identity is named by :attr:`key` and its position in the canonical
        order, which do not depend on how the nodes are numbered.
        """
        if all(node.identity for node in self.nodes):
            return tuple(node.identity for node in self.nodes)
        place = {v: k for k, v in enumerate(self._canonical_form[1])}
        return tuple(
            node.identity or f"{self.key}.{place[number]}"
            for number, node in enumerate(self.nodes, start=1)
        )

    def same_architecture(self, other: Genome) -> bool:
        """Whether both have the same key. Most that differ do so in parts that need no key."""
        return (
            self._head == other._head
            and sorted(self._labels) == sorted(other._labels)
            and self.key == other.key
        )

    @cached_property
    def _canonical_form(self) -> tuple[str, tuple[int, ...]]:
        return canonical_form(self._head, self.nodes, self._labels)

    @cached_property
    def _labels(self) -> list[str]:
        return node_labels(self.nodes, self.outputs)

    @cached_property
    def _head(self) -> str:
        embedding = [self.embedding.operator, sorted(self.embedding.parameters.items())]
        head: list[Any] = [self.width, self.embedding_width, self.pooling, embedding]
        if self.bound == 0:  # without a graph, nothing depends on its sizes
            head = []
        if self.encodings:  # without them, keys are those of earlier versions
            head.append([[e.name, sorted(e.parameters.items())] for e in self.encodings])
        if self.bound is not None:
            head.append([self.bound, "scopes"] if self.scopes else self.bound)
        return json.dumps(head)

    def graph(self) -> nx.DiGraph:
        """Return the architecture as a networkx graph.

        Nodes are ``"embedding"``, 1 to ``len(nodes)``, and ``"output"``. The numbered ones have
        the attributes operator, parameters, merge, residual and, if not empty, identity; the
        embedding has source (its operator) and parameters; ``graph.graph`` holds width,
        embedding_width, pooling, encodings (dictionaries of name and parameters), bound and
        scopes.
        """
        graph = nx.DiGraph(
            width=self.width,
            embedding_width=self.embedding_width,
            pooling=self.pooling,
            encodings=_plain_encodings(self.encodings),
            bound=self.bound,
            scopes=self.scopes,
        )
        source, parameters = self.embedding.operator, dict(self.embedding.parameters)
        graph.add_node(EMBEDDING, operator=EMBEDDING, source=source, parameters=parameters)
        for number, node in enumerate(self.nodes, start=1):
            graph.add_node(number, **_attributes(node))
        graph.add_node(OUTPUT, operator=OUTPUT)
        for number, node in enumerate(self.nodes, start=1):
            graph.add_edges_from((i or EMBEDDING, number) for i in node.inputs)
        graph.add_edges_from((i or EMBEDDING, OUTPUT) for i in self.outputs)
        return graph

    @classmethod
    def from_graph(cls, graph: nx.DiGraph) -> Genome:
        """Return the genome of a graph such as :meth:`graph` returns, with any node names.

        One node has ``operator="embedding"``, one ``operator="output"``; missing parameters,
        merge, residual and source get their defaults. Edges have no attributes.

        Raises:
            GenomeError: The graph is not a valid student architecture, or the graph, a node or an
                edge has an attribute that :meth:`graph` never gives it.
        """
        source, sink = check_graph(graph)
        check_attributes(graph, source, sink)
        order = [v for v in nx.topological_sort(graph) if v not in (source, sink)]
        number = {source: 0, **{v: i for i, v in enumerate(order, start=1)}}
        nodes = []
        for v in order:
            inputs = tuple(number[u] for u in graph.predecessors(v))
            nodes.append(Node(**graph.nodes[v], inputs=inputs))
        for name in ("width", "embedding_width"):
            if name not in graph.graph:
                raise GenomeError(f"graph.graph[{name!r}] is missing; it must be a whole number.")
        start = graph.nodes[source]
        embedding = Embedding(start.get("source", Embedding.operator), start.get("parameters", {}))
        made: dict[str, Any] = {
            "nodes": tuple(nodes),
            "outputs": tuple(number[u] for u in graph.predecessors(sink)),
            "embedding": embedding,
            "encodings": _read_encodings(graph.graph.get("encodings", ())),
        }
        return cls(**{**graph.graph, **made})

    def ordered(self) -> Genome:
        """Return the same architecture in canonical numbering, which isomorphic genomes share.

        Every node comes after its inputs.
        """
        return self._ordered

    @cached_property
    def _ordered(self) -> Genome:
        key, canonical = self._canonical_form
        order = topological_order(self.nodes, canonical)
        place = {v: k for k, v in enumerate(order)}
        nodes = []
        for v in order[1:]:
            node = self.nodes[v - 1]
            inputs = tuple(sorted([place[i] for i in node.inputs]))
            nodes.append(node if inputs == node.inputs else changed(node, inputs=inputs))
        outputs = tuple(sorted(place[i] for i in self.outputs))
        ordered = changed(self, nodes=tuple(nodes), outputs=outputs)
        ordered.__dict__["_labels"] = [self._labels[v] for v in order]
        ordered.__dict__["_canonical_form"] = key, tuple(place[v] for v in canonical)
        return ordered

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}  # without cached values

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON and Hugging Face configurations hold them.

        A genome without encodings or a bound has no field for them, as in files of earlier
        versions.
        """
        operator, parameters = self.embedding.operator, dict(self.embedding.parameters)
        values: dict[str, Any] = {
            "width": self.width,
            "embedding_width": self.embedding_width,
            "pooling": self.pooling,
            "embedding": {"operator": operator, "parameters": parameters},
            "nodes": [_attributes(node) | {"inputs": list(node.inputs)} for node in self.nodes],
            "outputs": list(self.outputs),
        }
        if self.encodings:
            values["encodings"] = _plain_encodings(self.encodings)
        if self.bound is not None:
            values["bound"] = self.bound
        return values | {"scopes": True} if self.scopes else values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Genome:
        """Return the genome of a dictionary from :meth:`to_dict`.

        Raises:
            GenomeError: A field is unknown or missing, or the genome is not valid.
        """
        _check_fields(values, cls, "genome")
        nodes, embedding = values.get("nodes", ()), values.get("embedding", {})
        if not isinstance(nodes, (tuple, list)):
            raise GenomeError(f"nodes must be a list, got {nodes!r:.200}.")
        for number, node in enumerate(nodes, start=1):
            _check_fields(node, Node, f"node {number}")
        _check_fields(embedding, Embedding, "embedding")
        made: dict[str, Any] = {
            "nodes": [Node(**node) for node in nodes],
            "embedding": Embedding(**embedding),
            "encodings": _read_encodings(values.get("encodings", ())),
        }
        return cls(**{**values, **made})

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Genome:
        """Return the genome of a text from :meth:`to_json`.

        Raises:
            GenomeError: The text is not valid JSON, or not a valid genome.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise GenomeError(f"A genome must be valid JSON, got {text!r:.80}: {error}") from error
        return cls.from_dict(values)

    def draw(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw the graph, layer by layer from top to bottom.

        A node is one layer below its lowest input. Its box shows its number, as in
        ``print(genome)``, its operator and parameters, and how several inputs are merged. The
        colour is the operator's family; a thick border and ``+ input`` mark a residual.

        Args:
            path: File to save to, ``.svg``, ``.png`` or ``.pdf``; not saved if omitted.

        Returns:
            The matplotlib ``Figure``, which notebooks display.

        Raises:
            MissingResourceError: matplotlib is not installed.
            ValueError: matplotlib does not support the suffix of ``path``.
        """
        title = f"{self.key}: width {self.width}, embedding width {self.embedding_width}"
        if self.bound == 0:
            title = self.key
        figure = draw_graph(self.graph(), title)
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure

    def __str__(self) -> str:
        rows = []
        for number, node in enumerate(self.nodes, start=1):
            merge = f"{node.merge} of " if len(node.inputs) > 1 else ""
            reads = merge + _listed(node.inputs)
            rows.append((str(number), str(node), reads, "+ input" * node.residual))
        rows.append(("output", "", _listed(self.outputs), ""))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        text = (
            f"Genome {self.key}: width {self.width}, {self.embedding} of width "
            f"{self.embedding_width}, {self.pooling} pooling"
        )
        if self.bound == 0:
            text, rows = f"Genome {self.key}: sum of token scores", []
        if self.encodings:
            text += f"\n  encoded by {', '.join(map(str, self.encodings))}"
        if self.bound:
            text += f"\n  token scores, moved by at most {self.bound:g}"
        if self.scopes:
            text += "\n  scores by scopes of negation and contrast"
        for name, operator, reads, residual in rows:
            line = f"  {name:>{widths[0]}}  {operator:<{widths[1]}}  <- {reads:<{widths[2]}}"
            text += f"\n{line}  {residual}".rstrip(" ")
        return text


def _attributes(node: Node) -> dict[str, Any]:
    """Return a node's fields besides its inputs, as plain values."""
    values = {
        "operator": node.operator,
        "parameters": dict(node.parameters),
        "merge": node.merge,
        "residual": node.residual,
    }
    return values | {"identity": node.identity} if node.identity else values


def _plain_encodings(encodings: tuple[TextEncoding, ...]) -> list[dict[str, Any]]:
    return [{"name": e.name, "parameters": dict(e.parameters)} for e in encodings]


def _read_encodings(values: Any) -> Any:
    """Return dictionaries as encodings; whatever else there is, the genome checks."""
    if not isinstance(values, (tuple, list)):
        return values
    read = []
    for value in values:
        if isinstance(value, Mapping):
            _check_fields(value, TextEncoding, "encoding")
            value = TextEncoding(**value)
        read.append(value)
    return tuple(read)


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(str(i or EMBEDDING) for i in numbers)


def _check_fields(
    values: object, kind: type[Genome | Node | Embedding | TextEncoding], what: str
) -> None:
    known = {f.name: f for f in fields(kind)}
    names = ", ".join(known)
    if not isinstance(values, Mapping):
        raise GenomeError(f"The {what} must be an object with {names}, got {values!r:.200}.")
    for name in values:
        if name not in known:
            hint = did_you_mean(name, known)
            raise GenomeError(f"The {what} has no field {name!r}; its fields are {names}.{hint}")
    for name, known_field in known.items():
        required = known_field.default is known_field.default_factory is MISSING
        if required and name not in values:
            raise GenomeError(f"The {what} lacks the field {name!r}.")
