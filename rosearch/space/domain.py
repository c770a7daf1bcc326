"""The values that each part of a genome may have in a search space."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, product
from typing import Any, TypeVar

from rosearch import encode
from rosearch import operators as ops
from rosearch.checks import choice, positive, refused, whole_number
from rosearch.encode.base import Level
from rosearch.errors import SpaceError
from rosearch.operators.base import Searchable
from rosearch.parameters import Choice, Parameters, Value, complete
from rosearch.space.genome import Genome
from rosearch.space.nodes import LEVELS, Embedding, Node, TextEncoding, changed
from rosearch.space.random_choices import RandomChoices

PartChoices = Sequence[str] | Mapping[str, Mapping[str, Sequence[Value]]]
"""Names of operators or encodings, or a mapping from name to ``{parameter: values}``."""


P = TypeVar("P", bound=Node | Embedding)


class Domain:
    """The values that each part of a genome may have, without limits on costs.

    The arguments are those of :class:`rosearch.space.SearchSpace`, and are attributes too:
    ``operators``, ``embeddings`` and ``encodings`` as mappings from name to ``{parameter:
    values}``.

    Raises:
        ArgumentError: An argument is empty or out of range.
        SpaceError: No operator or no embedding fits one of the widths.
        RegistryError: No operator or encoding has one of the names.
        GenomeError: An operator or encoding has no such parameter or value.
    """

    def __init__(
        self,
        operators: PartChoices | None,
        nodes: tuple[int, int],
        max_inputs: int,
        widths: Sequence[int],
        embedding_widths: Sequence[int],
        embeddings: PartChoices | None,
        poolings: Sequence[str],
        merges: Sequence[str],
        encodings: PartChoices | None,
        bounds: Sequence[float | None] | None,
        scopes: bool,
    ) -> None:
        low, high = pair("nodes", nodes)
        self.nodes = (whole_number("nodes[0]", low, 0), whole_number("nodes[1]", high, low))
        chosen = ops.OPERATORS if operators is None else operators
        self.operators = _operator_choices("operators", chosen, ops.Operator)
        chosen = ops.EMBEDDINGS if embeddings is None else embeddings
        self.embeddings = _operator_choices("embeddings", chosen, ops.EmbeddingOperator)
        self.max_inputs = whole_number("max_inputs", max_inputs)
        self.widths = _widths("widths", widths)
        self.embedding_widths = _widths("embedding_widths", embedding_widths)
        self.poolings = _names("poolings", poolings, ops.POOLINGS)
        self.merges = _names("merges", merges, ops.MERGES)
        self.encodings = {} if encodings is None else _encoding_choices(encodings)
        self.bounds = (None,) if bounds is None else _bounds(bounds)
        if not isinstance(scopes, bool):
            raise refused("scopes", "True or False", scopes)
        self.scopes = scopes
        self.encodings_at = _encodings_at(self.encodings)
        """The encodings of each level that has any: by name, with all their parameters."""
        of_levels = (chain(*named.values()) for named in self.encodings_at.values())
        self._encodings = frozenset(chain(*of_levels))
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
        """A copy of the arguments, with the defaults filled in.

        Encodings and bounds only if there are any.
        """
        choices = {
            "operators": self.operators,
            "nodes": self.nodes,
            "max_inputs": self.max_inputs,
            "widths": self.widths,
            "embedding_widths": self.embedding_widths,
            "embeddings": self.embeddings,
            "poolings": self.poolings,
            "merges": self.merges,
            # Studies of spaces without these must go on comparing equal.
            **({"encodings": self.encodings} if self.encodings else {}),
            **({"bounds": self.bounds} if self.bounds != (None,) else {}),
            **({"scopes": True} if self.scopes else {}),
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

    def pick_encodings(self, rng: RandomChoices) -> dict[Level, TextEncoding | None]:
        """Draw for each level that has encodings one of them or none, then its parameters."""
        return {
            level: rng.pick(rng.pick([(None,), *named.values()]))
            for level, named in self.encodings_at.items()
        }

    def _disallowed_scores(self, genome: Genome) -> str | None:
        if genome.bound not in self.bounds:
            return f"bound {genome.bound!r} is not in {self.bounds}"
        if genome.bound is not None and genome.scopes != self.scopes:
            return f"scopes must be {self.scopes}"
        return None

    def disallowed_part(self, genome: Genome) -> str | None:
        """Return which value of a genome is not in the domain, or ``None`` if all are."""
        for name in ("width", "embedding_width", "pooling"):
            value, options = getattr(genome, name), getattr(self, f"{name}s")
            if value not in options:
                return f"{name} {value!r} is not in {options}"
        scores = self._disallowed_scores(genome)
        if scores is not None:
            return scores
        low, high = self.nodes
        if not low <= len(genome.nodes) <= high:
            return f"the number of nodes, {len(genome.nodes)}, is not in {low} to {high}"
        if (genome.embedding.operator, genome.embedding.parameters) not in self._allowed:
            problem = _disallowed(genome.embedding, self.embeddings)
            return f"{problem} of the embedding is not in the space"
        for encoding in genome.encodings:
            if encoding not in self._encodings:
                problem = _disallowed(encoding, self.encodings)
                return f"{problem} of the encodings is not in the space"
        for number, node in enumerate(genome.nodes, start=1):
            inputs = len(node.inputs)
            if (node.operator, node.parameters) not in self._allowed:
                problem = _disallowed(node, self.operators)
                return f"{problem} of node {number} is not in the space"
            if inputs > self.max_inputs:
                return f"node {number} has {inputs} inputs, more than {self.max_inputs}"
            if inputs > 1 and node.merge not in self.merges:
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


def _bounds(values: Any) -> tuple[float | None, ...]:
    return tuple(
        None if value is None else positive("each of bounds but None", value)
        for value in _listed("bounds", values)
    )


def _widths(name: str, values: Any) -> tuple[int, ...]:
    return tuple(whole_number(f"each of {name}", value) for value in _listed(name, values))


def _names(name: str, values: Any, known: Sequence[str]) -> tuple[str, ...]:
    return tuple(choice(f"each of {name}", value, known) for value in _listed(name, values))


def _operator_choices(
    argument: str, chosen: Any, kind: type[Searchable]
) -> dict[str, dict[str, tuple[Value, ...]]]:
    return _choices(argument, chosen, "operator", lambda name: ops.require(name, kind).choices)


def _encoding_choices(chosen: Any) -> dict[str, dict[str, tuple[Value, ...]]]:
    return _choices("encodings", chosen, "encoding", lambda name: encode.get(name).choices)


def _choices(
    argument: str, chosen: Any, kind: str, choices_of: Callable[[str], Mapping[str, Choice]]
) -> dict[str, dict[str, tuple[Value, ...]]]:
    """Return the values of each parameter of the chosen operators or encodings."""
    names = _listed(argument, chosen)
    narrowed = chosen if isinstance(chosen, Mapping) else {}
    choices = {}
    for name in sorted(names):
        known = choices_of(name)
        choices[name] = {parameter: choice.values for parameter, choice in known.items()}
        for parameter, values in narrowed.get(name, {}).items():
            listed = _listed(f"{parameter} of {name!r}", values)
            checked = [complete(f"the {kind} {name!r}", known, {parameter: v}) for v in listed]
            choices[name][parameter] = tuple(values[parameter] for values in checked)
    return choices


def _encodings_at(
    choices: Mapping[str, Mapping[str, Sequence[Value]]],
) -> dict[Level, dict[str, tuple[TextEncoding, ...]]]:
    found: dict[Level, dict[str, tuple[TextEncoding, ...]]] = {level: {} for level in LEVELS}
    for name, parameters in choices.items():
        options = tuple(TextEncoding(name, values) for values in _combinations(parameters))
        found[encode.get(name).level][name] = options
    return {level: named for level, named in found.items() if named}


def _fitting(
    name: str, choices: Mapping[str, Sequence[Value]], width: int
) -> tuple[Parameters, ...]:
    operator = ops.get(name)
    return tuple(c for c in _combinations(choices) if operator.complaint(width, c) is None)


def _combinations(choices: Mapping[str, Sequence[Value]]) -> Iterator[Parameters]:
    for values in product(*choices.values()):
        yield Parameters(dict(zip(choices, values, strict=True)))


def _disallowed(
    part: Node | Embedding | TextEncoding, choices: Mapping[str, Mapping[str, Any]]
) -> str | None:
    if isinstance(part, TextEncoding):
        kind, name = "encoding", part.name
    else:
        kind, name = "operator", part.operator
    if name not in choices:
        return f"{kind} {name!r}"
    for parameter, value in part.parameters.items():
        if value not in choices[name][parameter]:
            return f"{parameter}={value!r}"
    return None
