"""The values that each part of a genome may have in a search space."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from rosearch import operators as ops
from rosearch.checks import choice, refused, whole_number
from rosearch.errors import SpaceError
from rosearch.operators.base import Searchable
from rosearch.parameters import Parameters, Value
from rosearch.space.genome import Genome
from rosearch.space.nodes import Embedding, Node, changed
from rosearch.space.random_choices import RandomChoices

OperatorChoices = Sequence[str] | Mapping[str, Mapping[str, Sequence[Value]]]
"""Names of operators, or a mapping from name to ``{parameter: values}``."""


P = TypeVar("P", bound=Node | Embedding)


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
        # Membership is checked for every mutant, and a set makes that twice as fast.
        self._allowed = {(name, v) for (name, _), values in self._fitting.items() for v in values}
        self.operators_at = {w: self._fitting_names(self.operators, w) for w in self.widths}
        """Names of the operators that fit each width."""
        self.embeddings_at = {w: self._fitting_names(self.embeddings, w) for w in self.widths}
        """Names of the embeddings that fit each width."""
        for width in self.widths:
            if self.nodes[1] and not self.operators_at[width]:
                raise SpaceError(f"No operator fits the width {width}; leave that width out.")
            if not self.embeddings_at[width]:
                raise SpaceError(f"No embedding fits the width {width}; leave that width out.")

    @property
    def choices(self) -> dict[str, Any]:
        """A copy of the arguments, with the defaults filled in."""
        choices = {
            "operators": self.operators,
            "nodes": self.nodes,
            "max_inputs": self.max_inputs,
            "widths": self.widths,
            "embedding_widths": self.embedding_widths,
            "embeddings": self.embeddings,
            "poolings": self.poolings,
            "merges": self.merges,
        }
        return copy.deepcopy(choices)

    def fitting(self, operator: str, width: int) -> tuple[Parameters, ...]:
        """Return all combinations of an operator's or embedding's parameters that fit a width."""
        return self._fitting.get((operator, width), ())

    def pick_operator(
        self, rng: RandomChoices, names: Mapping[int, Sequence[str]], width: int
    ) -> tuple[str, Parameters]:
        """Draw an operator or embedding, then its parameters, among those that fit a width.

        Args:
            rng: Source of randomness.
            names: :attr:`operators_at` or :attr:`embeddings_at`.
            width: The width.
        """
        name = rng.pick(names[width])
        return name, rng.pick(self.fitting(name, width))

    def fit_part(self, rng: RandomChoices, part: P, width: int) -> P:
        """Return a node or embedding, changed if it does not fit a width.

        It gets other parameters, or another operator if it fits with none.
        """
        fitting = self.fitting(part.operator, width)
        if part.parameters in fitting:
            return part
        if fitting:
            return changed(part, parameters=rng.pick(fitting))
        names = self.operators_at if isinstance(part, Node) else self.embeddings_at
        operator, parameters = self.pick_operator(rng, names, width)
        return changed(part, operator=operator, parameters=parameters)

    def disallowed_part(self, genome: Genome) -> str | None:
        """Return which value of a genome is not in the domain, or ``None`` if all are."""
        for name in ("width", "embedding_width", "pooling"):
            value, options = getattr(genome, name), getattr(self, f"{name}s")
            if value not in options:
                return f"{name} {value!r} is not in {options}"
        low, high = self.nodes
        if not low <= len(genome.nodes) <= high:
            return f"the number of nodes, {len(genome.nodes)}, is not in {low} to {high}"
        if (genome.embedding.operator, genome.embedding.parameters) not in self._allowed:
            problem = _disallowed(genome.embedding, self.embeddings)
            return f"{problem} of the embedding is not in the space"
        for number, node in enumerate(genome.nodes, start=1):
            if (node.operator, node.parameters) not in self._allowed:
                problem = _disallowed(node, self.operators)
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
