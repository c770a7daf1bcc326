"""Checks that a graph is a valid student architecture."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import networkx as nx

from rosearch.checks import did_you_mean
from rosearch.errors import GenomeError
from rosearch.operators import MERGES, get
from rosearch.space.nodes import EMBEDDING, LEVELS, OUTPUT, Embedding, Node, TextEncoding

_NODE_ATTRIBUTES = ("operator", "parameters", "merge", "residual", "identity")
_SOURCE_ATTRIBUTES = ("operator", "source", "parameters")
_GRAPH_ATTRIBUTES = ("width", "embedding_width", "pooling", "encodings", "bound", "scopes")


def check_nodes(
    width: int, embedding: Embedding, nodes: Sequence[Node], outputs: Sequence[int]
) -> None:
    """Check the values of all nodes; :func:`check_graph` checks how they are connected.

    Raises:
        GenomeError: An operator does not fit the width, a node has no input, reads one twice or
            one that does not exist, or a value is out of range.
    """
    _check_fit("The embedding", width, embedding)
    for number, node in enumerate(nodes, start=1):
        label = f"node {number} ({node.operator})"
        check_choice(f"merge of {label}", node.merge, MERGES)
        if not isinstance(node.residual, bool):
            raise GenomeError(f"residual of {label} must be true or false, got {node.residual!r}.")
        if not isinstance(node.identity, str):
            raise GenomeError(f"identity of {label} must be a str, got {node.identity!r}.")
        _check_inputs(node.inputs, len(nodes), label)
        _check_fit(f"Node {number}", width, node)
    _check_inputs(outputs, len(nodes), "the output")
    identities = [node.identity for node in nodes if node.identity]
    if len(set(identities)) != len(identities):
        raise GenomeError(f"Node identities must be distinct, got {identities}.")


def check_encodings(values: Any) -> tuple[TextEncoding, ...]:
    """Return the encodings of a genome; a name stands for an encoding with default parameters.

    Raises:
        GenomeError: A value is neither, or two encodings have one level or the wrong order.
        RegistryError: No encoding has one of the names.
    """
    kinds = str, TextEncoding
    if not isinstance(values, (tuple, list)) or not all(isinstance(v, kinds) for v in values):
        raise GenomeError(f"encodings must be a tuple of TextEncoding, got {values!r:.200}.")
    encodings = tuple(TextEncoding(v) if isinstance(v, str) else v for v in values)
    places = [LEVELS.index(encoding.level) for encoding in encodings]
    if places != sorted(set(places)):
        given = ", ".join(f"{encoding.name} ({encoding.level})" for encoding in encodings)
        raise GenomeError(
            f"encodings must be at most one of each level, in the order {', '.join(LEVELS)}, got "
            f"{given}."
        )
    return encodings


def check_bound(value: Any, *, has_nodes: bool) -> float | None:
    """Return the bound of a genome as a float, or ``None``.

    Raises:
        GenomeError: It is neither ``None`` nor a finite number from 0, or it is 0 although there
            are nodes.
    """
    if value is None:
        return None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value < math.inf:
        raise GenomeError(f"bound must be None or a finite number from 0, got {value!r:.200}.")
    if not value and has_nodes:
        raise GenomeError("With a bound of 0 nodes have no effect. Leave them out, or raise it.")
    return float(value)


def check_graph(graph: nx.DiGraph) -> tuple[Hashable, Hashable]:
    """Check that a graph is acyclic and has one source, one sink and no dead node.

    Returns:
        The source (the embedding) and the sink (the output).

    Raises:
        GenomeError: The graph is not valid; the message names the cycle or the dead node.
    """
    if not isinstance(graph, nx.DiGraph) or graph.is_multigraph():
        raise GenomeError(f"The graph must be a networkx.DiGraph, got {type(graph).__name__}.")
    source, sink = _only_node(graph, EMBEDDING), _only_node(graph, OUTPUT)
    for v, operator in graph.nodes(data="operator"):
        if operator is None:
            raise GenomeError(f"Node {v} has no attribute 'operator'.")
    if not nx.is_directed_acyclic_graph(graph):
        edges = nx.find_cycle(graph)
        cycle = " -> ".join(_label(graph, v) for v in (*(e[0] for e in edges), edges[0][0]))
        raise GenomeError(f"The graph has a cycle: {cycle}. Remove one of these edges.")
    if graph.in_degree(source) or graph.out_degree(sink):
        raise GenomeError("The embedding cannot have inputs, and no node can read the output.")
    reached, useful = nx.descendants(graph, source), nx.ancestors(graph, sink)
    for v in graph:
        if v not in reached and v != source:
            raise GenomeError(
                f"Dead node: {_label(graph, v)} is not reached from the embedding. Give it an "
                f"input."
            )
        if v not in useful and v != sink:
            raise GenomeError(
                f"Dead node: {_label(graph, v)} does not lead to the output. Let a node or the "
                f"output read it, or remove it."
            )
    return source, sink


def check_attributes(graph: nx.DiGraph, source: Hashable, sink: Hashable) -> None:
    """Check that a graph has no attribute that a genome cannot hold.

    Args:
        graph: A graph that :func:`check_graph` has accepted.
        source: Its embedding.
        sink: Its output.

    Raises:
        GenomeError: The graph, a node or an edge has an unknown attribute; the message names it and
            the most similar known one.
    """
    embedding = graph.nodes[source].get("source", Embedding.operator)
    ends = {source: (_SOURCE_ATTRIBUTES, embedding), sink: (("operator",), None)}
    _check_known("graph.graph", graph.graph, _GRAPH_ATTRIBUTES)
    for v, found in graph.nodes.items():
        known, part = ends.get(v, (_NODE_ATTRIBUTES, found["operator"]))
        _check_known(f"Node {_label(graph, v)}", found, known, part)
    for (u, v), found in graph.edges.items():
        label = f"The edge from {_label(graph, u)} to {_label(graph, v)}"
        _check_known(label, found, ())


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Check that a value is one of a genome's choices.

    Raises:
        GenomeError: It is not.
    """
    if value not in choices:
        raise GenomeError(f"{name} must be one of {', '.join(choices)}, got {value!r}.")


def _check_fit(name: str, width: int, part: Node | Embedding) -> None:
    misfit = get(part.operator).complaint(width, part.parameters)
    if misfit:
        raise GenomeError(f"{name} ({part.operator}) does not fit: {misfit}.")


def _check_inputs(inputs: Sequence[int], count: int, label: str) -> None:
    if not inputs:
        raise GenomeError(f"Dead node: {label} has no input. The embedding (0) is the only source.")
    if len(set(inputs)) != len(inputs):
        raise GenomeError(f"{label.capitalize()} reads a node twice: inputs {list(inputs)}.")
    for i in inputs:
        if not 0 <= i <= count:
            raise GenomeError(f"{label.capitalize()} reads node {i}, which is not in 0 to {count}.")


def _check_known(
    owner: str, attributes: Mapping[Any, Any], known: Sequence[str], part: Any = None
) -> None:
    """Refuse unknown attributes; ``part`` is the operator whose parameters one may stand for."""
    for name, value in attributes.items():
        if name in known:
            continue
        parameters = get(part).choices if isinstance(part, str) else ()
        if name in parameters:
            advice = (
                f" Parameters have a place of their own: parameters={{{name!r}: {value!r:.80}}}."
            )
        else:
            advice = did_you_mean(name, (*known, *parameters)) or " Remove it."
        raise GenomeError(
            f"{owner} has the attribute {name!r}, which a genome cannot hold; known: "
            f"{', '.join(known) or 'none'}.{advice}"
        )


def _only_node(graph: nx.DiGraph, operator: str) -> Hashable:
    found: list[Hashable] = [v for v, name in graph.nodes(data="operator") if name == operator]
    if len(found) != 1:
        raise GenomeError(
            f'The graph must have one node with operator="{operator}", got {len(found)}: {found}.'
        )
    return found[0]


def _label(graph: nx.DiGraph, v: Any) -> str:
    operator = graph.nodes[v].get("operator")
    return str(v) if operator == v else f"{v} ({operator})"
