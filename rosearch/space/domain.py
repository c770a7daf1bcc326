"""The values that each part of a genome may have in a search space."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rosearch import operators as ops
from rosearch.checks import choice, refused, whole_number
from rosearch.errors import SpaceError
from rosearch.operators.base import Searchable, Value
from rosearch.space.genome import Genome
from rosearch.space.nodes import Embedding, Node, Parameters, unchecked
from rosearch.space.rng import RandomChoices

OperatorChoices = Sequence[str] | Mapping[str, Mapping[str, Sequence[Value]]]
"""Names of operators, or a mapping from name to ``{parameter: values}``."""


class Domain:
    """The values that each part of a genome may have, without limits on costs.

    The arguments are those of :class:`rosearch.space.SearchSpace`, and are attributes too:
    ``operators`` and ``embeddings`` as mappings from name to ``{parameter: values}``.

    Raises:
        ArgumentError: An argument is empty or out of range.
        SpaceError: No operator or no embedding fits one of the widths.
        RegistryError: No operator has one of the names.
        GenomeError: An operator has no such parameter or value.
    """

    def __init__(
        self,
        *,
        operators: OperatorChoices | None,
        nodes: tuple[int, int],
        max_inputs: int,
        widths: Sequence[int],
        embedding_widths: Sequence[int],
        embeddings: OperatorChoices | None,
        poolings: Sequence[str],
        merges: Sequence[str],
    ) -> None:
        low, high = pair("nodes", nodes)
        self.nodes = (whole_number("nodes[0]", low, 0), whole_number("nodes[1]", high, low))
        self.operators = _operator_choices("operators", operators, ops.Operator)
        self.embeddings = _operator_choices("embeddings", embeddings, ops.EmbeddingOperator)
        self.max_inputs = whole_number("max_inputs", max_inputs)
        self.widths = _widths("widths", widths)
        self.embedding_widths = _widths("embedding_widths", embedding_widths)
        self.poolings = _names("poolings", poolings, ops.POOLINGS)
        self.merges = _names("merges", merges, ops.MERGES)
        self._fitting = {
            (name, width): _fitting(name, values, width)
            for name, values in (self.operators | self.embeddings).items()
            for width in self.widths
        }
        self._operators_at = {w: self._fitting_names(self.operators, w) for w in self.widths}
        self._embeddings_at = {w: self._fitting_names(self.embeddings, w) for w in self.widths}
        for width in self.widths:
            if self.nodes[1] and not self.operators_at(width):
                raise SpaceError(f"No operator fits the width {width}; leave that width out.")
            if not self.embeddings_at(width):
                raise SpaceError(f"No embedding fits the width {width}; leave that width out.")

    @property
    def choices(self) -> dict[str, Any]:
        """The arguments, as plain values."""
        return {
            "operators": _plain(self.operators),
            "nodes": list(self.nodes),
            "max_inputs": self.max_inputs,
            "widths": list(self.widths),
            "embedding_widths": list(self.embedding_widths),
            "embeddings": _plain(self.embeddings),
            "poolings": list(self.poolings),
            "merges": list(self.merges),
        }

    def fitting(self, operator: str, width: int) -> tuple[Parameters, ...]:
        """Return all combinations of an operator's or embedding's parameters that fit a width."""
        return self._fitting.get((operator, width), ())

    def operators_at(self, width: int) -> tuple[str, ...]:
        """Return the operators that fit a width."""
        return self._operators_at[width]

    def embeddings_at(self, width: int) -> tuple[str, ...]:
        """Return the embeddings that fit a width."""
        return self._embeddings_at[width]

    def neighbours(self, node: Node, width: int) -> list[Parameters]:
        """Return the combinations of a node's parameters that differ from its own in one value."""
        own = node.parameters
        return [
            values
            for values in self.fitting(node.operator, width)
            if sum(values[name] != value for name, value in own.items()) == 1
        ]

    def random_operator(self, rng: RandomChoices, width: int) -> tuple[str, Parameters]:
        """Draw an operator, then its parameters, among those that fit a width."""
        name = rng.pick(self.operators_at(width))
        return name, rng.pick(self.fitting(name, width))

    def random_embedding(self, rng: RandomChoices, width: int) -> Embedding:
        """Draw an embedding, then its parameters, among those that fit a width."""
        name = rng.pick(self.embeddings_at(width))
        values = rng.pick(self.fitting(name, width))
        return unchecked(Embedding, operator=name, parameters=values)

    def fit_node(self, rng: RandomChoices, node: Node, width: int) -> Node:
        """Return a node with other parameters, or another operator, if it does not fit a width."""
        fitting = self.fitting(node.operator, width)
        if node.parameters in fitting:
            return node
        if fitting:
            return node.changed(parameters=rng.pick(fitting))
        operator, parameters = self.random_operator(rng, width)
        return node.changed(operator=operator, parameters=parameters)

    def fit_embedding(self, rng: RandomChoices, embedding: Embedding, width: int) -> Embedding:
        """Return an embedding, changed as in :meth:`fit_node` if it does not fit a width."""
        fitting = self.fitting(embedding.operator, width)
        if embedding.parameters in fitting:
            return embedding
        if fitting:
            values = rng.pick(fitting)
            return unchecked(Embedding, operator=embedding.operator, parameters=values)
        return self.random_embedding(rng, width)

    def disallowed_part(self, genome: Genome) -> str | None:
        """Return which value of a genome is not in the domain, or ``None`` if all are."""
        for name in ("width", "embedding_width", "pooling"):
            value, options = getattr(genome, name), getattr(self, f"{name}s")
            if value not in options:
                return f"{name} {value!r} is not in {options}"
        low, high = self.nodes
        if not low <= len(genome.nodes) <= high:
            return f"the number of nodes, {len(genome.nodes)}, is not in {low} to {high}"
        problem = _disallowed(genome.embedding, self.embeddings)
        if problem:
            return f"{problem} of the embedding is not in the space"
        for number, node in enumerate(genome.nodes, start=1):
            problem = _disallowed(node, self.operators)
            if problem:
                return f"{problem} of node {number} is not in the space"
            if len(node.inputs) > self.max_inputs:
                return f"node {number} has {len(node.inputs)} inputs, more than {self.max_inputs}"
            if len(node.inputs) > 1 and node.merge not in self.merges:
                return f"merge {node.merge!r} of node {number} is not in {self.merges}"
        return None

    def _fitting_names(self, names: Mapping[str, Any], width: int) -> tuple[str, ...]:
        return tuple(name for name in names if self.fitting(name, width))


def pair(name: str, value: Any) -> tuple[Any, Any]:
    """Return the two ends of a range.

    Raises:
        ArgumentError: The argument is not a pair.
    """
    try:
        low, high = value
    except (TypeError, ValueError):
        raise refused(name, "(minimum, maximum)", value) from None
    return low, high


def _listed(name: str, values: Any) -> tuple[Any, ...]:
    listed = isinstance(values, Iterable) and not isinstance(values, str)
    options = tuple(values) if listed else ()
    if not options:
        raise refused(name, "a sequence with at least one value", values)
    return options


def _widths(name: str, values: Any) -> tuple[int, ...]:
    return tuple(whole_number(f"each of {name}", value) for value in _listed(name, values))


def _names(name: str, values: Any, known: Sequence[str]) -> tuple[str, ...]:
    return tuple(choice(f"each of {name}", value, known) for value in _listed(name, values))


def _operator_choices(
    argument: str, chosen: Any, kind: type[Searchable]
) -> dict[str, dict[str, tuple[Value, ...]]]:
    names = _listed(argument, ops.names(kind) if chosen is None else chosen)
    narrowed = chosen if isinstance(chosen, Mapping) else {}
    choices = {}
    for name in sorted(names):
        given = narrowed.get(name, {})
        for parameter, values in given.items():
            for value in _listed(f"{parameter} of {name!r}", values):
                ops.complete(name, {parameter: value})
        known = ops.require(name, kind).choices
        choices[name] = {key: tuple(given.get(key, known[key].values)) for key in known}
    return choices


def _fitting(
    name: str, choices: Mapping[str, Sequence[Value]], width: int
) -> tuple[Parameters, ...]:
    operator = ops.get(name)
    combinations = (
        Parameters(dict(zip(choices, values, strict=True)))
        for values in itertools.product(*choices.values())
    )
    return tuple(c for c in combinations if operator.complaint(width, c) is None)


def _disallowed(part: Node | Embedding, choices: Mapping[str, Mapping[str, Any]]) -> str | None:
    if part.operator not in choices:
        return f"operator {part.operator!r}"
    for name, value in part.parameters.items():
        if value not in choices[part.operator][name]:
            return f"{name}={value!r}"
    return None


def _plain(choices: Mapping[str, Mapping[str, Sequence[Value]]]) -> dict[str, Any]:
    return {
        name: {key: list(values) for key, values in parameters.items()}
        for name, parameters in choices.items()
    }
