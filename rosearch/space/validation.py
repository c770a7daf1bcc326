"""What makes a graph a student architecture, checked with networkx."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import networkx as nx

from rosearch.errors import GenomeError
from rosearch.operators import MERGES, POOLINGS, get

if TYPE_CHECKING:
    from rosearch.space.genome import Genome

EMBEDDING = "embedding"
OUTPUT = "output"


def check_genome(genome: Genome) -> None:
    """Refuse a genome that is no student architecture.

    Raises:
        GenomeError: Naming the cycle, the dead node, the missing input, or the value that
            is out of range.
    """
    for name in ("width", "embedding_width"):
        _check_positive(name, getattr(genome, name))
    _check_choice("pooling", genome.pooling, POOLINGS, "the genome")
    source = genome.embedding
    complaint = get(source.operator).complaint(genome.width, source.parameters)
    if complaint:
        raise GenomeError(f"The embedding ({source.operator}) does not fit: {complaint}.")
    count = len(genome.nodes)
    for number, node in enumerate(genome.nodes, start=1):
        label = f"node {number} ({node.operator})"
        _check_choice("merge", node.merge, MERGES, label)
        if not isinstance(node.residual, bool):
            raise GenomeError(f"residual of {label} is {node.residual!r}; expected true or false.")
        if not isinstance(node.identity, str):
            raise GenomeError(f"identity of {label} is {node.identity!r}; expected a str.")
        _check_inputs(node.inputs, count, label)
        complaint = get(node.operator).complaint(genome.width, node.parameters)
        if complaint:
            raise GenomeError(f"{label.capitalize()} does not fit: {complaint}.")
    _check_inputs(genome.outputs, count, "the output")
    named = [node.identity for node in genome.nodes if node.identity]
    if len(set(named)) != len(named):
        raise GenomeError(f"Several nodes have one identity: {named}.")
    check_graph(genome.graph())


def check_graph(graph: nx.DiGraph) -> tuple[Hashable, Hashable]:
    """Refuse a graph that is not acyclic with one source, one sink and no dead node.

    Returns:
        The source (the embedding) and the sink (the pooled output).

    Raises:
        GenomeError: As :func:`check_genome`.
    """
    if not isinstance(graph, nx.DiGraph) or graph.is_multigraph():
        raise GenomeError(f"Expected a networkx.DiGraph, got {type(graph).__name__}.")
    source, sink = _ends(graph)
    _refuse_cycle(graph)
    if graph.in_degree(source) or graph.out_degree(sink):
        raise GenomeError("The embedding has no inputs and the output is read by no node.")
    reached = nx.descendants(graph, source)
    useful = nx.ancestors(graph, sink)
    for v in graph:
        if v in (source, sink):
            continue
        if v not in reached:
            raise GenomeError(
                f"Dead node: {_label(graph, v)} is not reached from the embedding. Give it "
                f"an input."
            )
        if v not in useful:
            raise GenomeError(
                f"Dead node: {_label(graph, v)} does not lead to the output. Let a node or the "
                f"output read it, or remove it."
            )
    if sink not in reached:
        raise GenomeError("The output is not reached from the embedding. Connect them.")
    return source, sink


def _ends(graph: nx.DiGraph) -> tuple[Hashable, Hashable]:
    ends = []
    for name in (EMBEDDING, OUTPUT):
        found = [v for v, operator in graph.nodes(data="operator") if operator == name]
        if len(found) != 1:
            raise GenomeError(
                f'Expected one node with operator="{name}", found {len(found)}: {found}.'
            )
        ends.append(found[0])
    for v, operator in graph.nodes(data="operator"):
        if operator is None:
            raise GenomeError(f"Node {v} has no attribute 'operator'.")
    return ends[0], ends[1]


def _refuse_cycle(graph: nx.DiGraph) -> None:
    try:
        cycle = nx.find_cycle(graph)
    except nx.NetworkXNoCycle:
        pass
    else:
        around = " -> ".join(_label(graph, v) for v in (*(e[0] for e in cycle), cycle[0][0]))
        raise GenomeError(f"The graph has a cycle: {around}. Remove one of these edges.")


def _label(graph: nx.DiGraph, v: Hashable) -> str:
    operator = graph.nodes[v].get("operator")
    return str(v) if operator == v else f"{v} ({operator})"


def _check_positive(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise GenomeError(f"{name} is {value!r}; expected a whole number from 1.")


def _check_choice(name: str, value: Any, choices: tuple[str, ...], where: str) -> None:
    if value not in choices:
        raise GenomeError(f"{name} of {where} is {value!r}; expected one of {', '.join(choices)}.")


def _check_inputs(inputs: tuple[int, ...], count: int, label: str) -> None:
    if not inputs:
        raise GenomeError(f"Dead node: {label} has no input. The embedding (0) is the only source.")
    if len(set(inputs)) != len(inputs):
        raise GenomeError(f"{label.capitalize()} reads a node twice: inputs {list(inputs)}.")
    for i in inputs:
        if not 0 <= i <= count:
            raise GenomeError(
                f"{label.capitalize()} reads node {i}; there are 0 (the embedding) to {count}."
            )
