"""What can be searched: which operators, how many nodes, which widths."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from rosearch import operators as ops
from rosearch.errors import SpaceError
from rosearch.operators.base import Searchable, Value
from rosearch.seeding import Seed, generator
from rosearch.space import variation
from rosearch.space.cost.latency import LatencyTable
from rosearch.space.cost.limits import Bounds, Limits
from rosearch.space.genome import Genome
from rosearch.space.nodes import Embedding, Node, Parameters
from rosearch.space.rng import Draws

_Narrowed = dict[str, dict[str, tuple[Value, ...]]]


class SearchSpace:
    """A set of genomes to sample from and to move in. Keyword arguments narrow it.

    The defaults are ours (the paper's space is not published in enough detail): they hold
    the hand-designed students of :mod:`rosearch.space.templates`.

    :meth:`sample` draws width and embedding width with weights of one over the width, and the
    number of nodes with weights that halve with every four more, so that most samples are small:
    by default half of them have at most 4 nodes and a width of at most 128, and one in six has a
    width of 312 or more. Operators are drawn alike, then their parameters. A node reads the one
    before it, or with a chance of 0.3 any before it, and with a chance of 0.4 each one more. The
    output reads every node that no other reads, and each other one with a chance of 0.05. So every
    genome of the space can be drawn.

    With limits the same weights hold for the frames (width, embedding, pooling) that can meet them
    and for the numbers of nodes with which the frame can. Then each node in turn is drawn among
    the operators that leave those after it able to meet the limits, and what still misses them is
    repaired by a few random changes. Every genome inside the limits can still be drawn, though
    not with the weights that it has without limits.

    Args:
        operators: Names of the operators a node may have, or a mapping from name to
            ``{parameter: values}`` that narrows their parameters too. Default: all registered.
        nodes: Smallest and largest number of nodes.
        max_inputs: Largest number of inputs of a node. The output reads every node that no
            other reads, so its inputs are not limited.
        widths: Channels of the hidden states.
        embedding_widths: Inner widths of the factorised embedding.
        embeddings: Names of the operators that the input may have, or a mapping as for
            ``operators``. Default: all registered.
        poolings: How the output becomes a vector.
        merges: How a node joins several inputs.
        parameters: Smallest and largest number of parameters of the student; ``None`` leaves a side
            open, as in all limits. Needs ``teacher``, like the other limits.
        compression: Smallest and largest quotient of the teacher's parameters by the student's.
        flops: Fewest and most floating-point operations for one text, by torch's counter.
        latency: Least and most seconds for one text, as ``latencies`` estimates them.
        teacher: A Teacher, or a :class:`Task` with the sizes that count. FLOPs and latency are for
            a text of 32 tokens; ``teacher=Task.of(teacher, length=64)`` changes that.
        latencies: From :meth:`LatencyTable.measure` or :meth:`LatencyTable.from_json`.

    Raises:
        SpaceError: An argument is empty or out of range, or no operator fits a width; or a limit
            cannot be met, or none of 50 draws met it, or it lacks what it needs.
        RegistryError: An operator's name is unknown.
    """

    def __init__(
        self,
        *,
        operators: Sequence[str] | Mapping[str, Mapping[str, Sequence[Value]]] | None = None,
        nodes: tuple[int, int] = (0, 24),
        max_inputs: int = 3,
        widths: Sequence[int] = (64, 96, 128, 160, 192, 256, 312, 384, 512, 768),
        embedding_widths: Sequence[int] = (32, 64, 96, 128, 256, 312, 384, 768),
        embeddings: Sequence[str] | Mapping[str, Mapping[str, Sequence[Value]]] | None = None,
        poolings: Sequence[str] = ops.POOLINGS,
        merges: Sequence[str] = ops.MERGES,
        parameters: Bounds | None = None,
        compression: Bounds | None = None,
        flops: Bounds | None = None,
        latency: Bounds | None = None,
        teacher: Any = None,
        latencies: LatencyTable | Mapping[str, Any] | None = None,
    ) -> None:
        self.operators = _narrowed("operators", operators, ops.Operator)
        self.embeddings = _narrowed("embeddings", embeddings, ops.EmbeddingOperator)
        if not self.embeddings:
            raise SpaceError("The space has no embeddings; name at least one.")
        try:
            low, high = nodes
        except (TypeError, ValueError):
            raise SpaceError(f"nodes={nodes!r}: expected (smallest, largest).") from None
        self.nodes = (int(low), int(high))
        self.max_inputs = int(max_inputs)
        self.widths = _options("widths", widths)
        self.embedding_widths = _options("embedding_widths", embedding_widths)
        self.poolings = _options("poolings", poolings, ops.POOLINGS)
        self.merges = _options("merges", merges, ops.MERGES)
        if not 0 <= self.nodes[0] <= self.nodes[1]:
            raise SpaceError(f"nodes={nodes!r}: expected (smallest, largest), 0 or more.")
        if self.max_inputs < 1:
            raise SpaceError(f"max_inputs={max_inputs!r}: a node needs at least one input.")
        if self.nodes[1] and not self.operators:
            raise SpaceError("The space has nodes but no operators; name at least one.")
        self._settings = {
            (name, width): self._fitting(name, width)
            for name, width in itertools.product((*self.operators, *self.embeddings), self.widths)
        }
        for width in self.widths:
            if self.nodes[1] and not any(self._settings[name, width] for name in self.operators):
                raise SpaceError(f"No operator fits the width {width}; leave that width out.")
            if not any(self._settings[name, width] for name in self.embeddings):
                raise SpaceError(f"No embedding fits the width {width}; leave that width out.")
        self._operators_at = {
            w: tuple(n for n in self.operators if self._settings[n, w]) for w in self.widths
        }
        self._embeddings_at = {
            w: tuple(n for n in self.embeddings if self._settings[n, w]) for w in self.widths
        }
        self._allowed = {(n, p) for (n, _), settings in self._settings.items() for p in settings}
        self.width_weights = list(accumulate(1 / w for w in self.widths))
        self.embedding_width_weights = list(accumulate(1 / w for w in self.embedding_widths))
        self._neighbours: dict[tuple[str, Parameters, int], tuple[Parameters, ...]] = {}
        named = {
            "parameters": parameters, "compression": compression, "flops": flops, "latency": latency
        }  # fmt: skip
        bounds = {name: values for name, values in named.items() if values is not None}
        if latencies is not None and not isinstance(latencies, LatencyTable):
            latencies = LatencyTable.from_dict(latencies)
        self.limits = Limits(self, bounds, teacher=teacher, latencies=latencies) if bounds else None
        if self.limits:
            self.sample(seed=0)  # Limits may be within reach and yet too narrow for any genome.

    def sample(self, *, seed: Seed) -> Genome:
        """A random genome of the space.

        Args:
            seed: Same seed, same genome; or a generator to draw from.

        Raises:
            SpaceError: No genome within the limits was found.
        """
        return variation.sample(self, Draws(generator(seed, "sample")))

    def mutate(self, genome: Genome, *, seed: Seed, kind: str | None = None) -> Genome:
        """A neighbour of ``genome`` with another key: one change of a random kind.

        The kind is drawn among those that have a neighbour in the space and its limits; then what
        changes, step by step, each alike among those that lead to one.

        Args:
            genome: Any genome of the space.
            seed: Same seed, same neighbour; or a generator to draw from.
            kind: One of :data:`rosearch.space.variation.MUTATIONS`; random if omitted.

        Raises:
            SpaceError: ``genome`` is not in the space, or has no such neighbour in it.
        """
        self.require(genome)
        return variation.mutate(self, genome, Draws(generator(seed, "mutate", genome.key)), kind)

    def crossover(self, a: Genome, b: Genome, *, seed: Seed) -> Genome:
        """A child with the first nodes of ``a``, the last nodes of ``b``, and genes of either.

        A child outside the limits is brought into them by a few changes.

        Args:
            a: A genome of the space.
            b: Another.
            seed: Same seed, same child; or a generator to draw from.

        Raises:
            SpaceError: A parent is not in the space.
        """
        self.require(a)
        self.require(b)
        draws = Draws(generator(seed, "crossover", a.key, b.key))
        return variation.crossover(self, a, b, draws)

    def complaint(self, genome: Genome) -> str | None:
        """Why ``genome`` is outside the space, or ``None`` if it is inside."""
        genes: tuple[tuple[str, Any, tuple[Any, ...]], ...] = (
            ("width", genome.width, self.widths),
            ("embedding_width", genome.embedding_width, self.embedding_widths),
            ("pooling", genome.pooling, self.poolings),
        )
        for name, gene, options in genes:
            if gene not in options:
                return f"{name} {gene!r} is not among {options}"
        source = genome.embedding
        if (source.operator, source.parameters) not in self._allowed:
            return _outside(source, self.embeddings, "the embedding")
        if not self.nodes[0] <= len(genome.nodes) <= self.nodes[1]:
            return f"{len(genome.nodes)} nodes are not {self.nodes[0]} to {self.nodes[1]}"
        for number, node in enumerate(genome.nodes, start=1):
            if (node.operator, node.parameters) not in self._allowed:
                return _outside(node, self.operators, f"node {number}")
            if len(node.inputs) > self.max_inputs:
                return f"node {number} has {len(node.inputs)} inputs, more than {self.max_inputs}"
            if len(node.inputs) > 1 and node.merge not in self.merges:
                return f"merge {node.merge!r} of node {number} is not among {self.merges}"
        return self.limits.complaint(genome) if self.limits else None

    def meets_limits(self, genome: Genome) -> bool:
        """Whether the genome's costs are within the limits; its parts must be the space's."""
        return self.limits is None or self.limits.complaint(genome) is None

    def require(self, genome: Genome) -> None:
        """Raise a SpaceError that says why, where ``genome`` is outside the space."""
        complaint = self.complaint(genome)
        if complaint:
            raise SpaceError(f"Genome {genome.key} is outside the space: {complaint}.")

    def __contains__(self, genome: object) -> bool:
        return isinstance(genome, Genome) and self.complaint(genome) is None

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that defines the space, as plain values."""
        return {
            "operators": _plain(self.operators),
            "nodes": list(self.nodes),
            "max_inputs": self.max_inputs,
            "widths": list(self.widths),
            "embedding_widths": list(self.embedding_widths),
            "embeddings": _plain(self.embeddings),
            "poolings": list(self.poolings),
            "merges": list(self.merges),
            **(self.limits.settings if self.limits else {}),
        }

    def fitting(self, operator: str, width: int) -> tuple[Parameters, ...]:
        """Every combination of the operator's or embedding's parameters that fits ``width``."""
        return self._settings.get((operator, width), ())

    def operators_at(self, width: int) -> tuple[str, ...]:
        """The operators that fit ``width``."""
        return self._operators_at[width]

    def embeddings_at(self, width: int) -> tuple[str, ...]:
        """The embeddings that fit ``width``."""
        return self._embeddings_at[width]

    def neighbours(
        self, operator: str, parameters: Mapping[str, Value], width: int
    ) -> tuple[Parameters, ...]:
        """The combinations that fit ``width`` and differ from ``parameters`` in one value."""
        key = (operator, Parameters(parameters), width)
        if key not in self._neighbours:
            self._neighbours[key] = tuple(
                values
                for values in self.fitting(operator, width)
                if sum(values[name] != value for name, value in parameters.items()) == 1
            )
        return self._neighbours[key]

    def _fitting(self, name: str, width: int) -> tuple[Parameters, ...]:
        values = self.operators.get(name) or self.embeddings.get(name) or {}
        combinations = (
            Parameters(dict(zip(values, chosen, strict=True)))
            for chosen in itertools.product(*values.values())
        )
        operator = ops.get(name)
        return tuple(c for c in combinations if operator.complaint(width, c) is None)

    def __repr__(self) -> str:
        return f"SearchSpace({', '.join(f'{k}={v!r}' for k, v in self.settings.items())})"


def _narrowed(argument: str, chosen: Any, kind: type[Searchable]) -> _Narrowed:
    if isinstance(chosen, str):
        raise SpaceError(f"{argument}={chosen!r}: expected a sequence of names.")
    names = ops.names(kind) if chosen is None else chosen
    narrowed = names if isinstance(names, Mapping) else {name: {} for name in names}
    for name in narrowed:
        ops.require(name, kind)
    return {name: _values(name, values) for name, values in sorted(narrowed.items())}


def _outside(part: Node | Embedding, narrowed: _Narrowed, what: str) -> str | None:
    if part.operator not in narrowed:
        return f"the operator {part.operator!r} of {what} is not among the space's"
    for parameter, value in part.parameters.items():
        allowed = narrowed[part.operator][parameter]
        if value not in allowed:
            return f"{parameter}={value!r} of {what} is not among {allowed}"
    return None


def _plain(narrowed: _Narrowed) -> dict[str, dict[str, list[Value]]]:
    return {
        name: {key: list(options) for key, options in values.items()}
        for name, values in narrowed.items()
    }


def _values(name: str, chosen: Mapping[str, Sequence[Value]]) -> dict[str, tuple[Value, ...]]:
    choices = ops.get(name).choices
    for parameter, values in chosen.items():
        for value in values:
            ops.complete(name, {parameter: value})
        if not values:
            raise SpaceError(f"{name}: expected at least one value for {parameter!r}, got none.")
    return {key: tuple(chosen.get(key, choice.values)) for key, choice in choices.items()}


def _options(
    name: str, values: Sequence[Any], known: tuple[str, ...] | None = None
) -> tuple[Any, ...]:
    options = tuple(values)
    if not options or isinstance(values, str):
        raise SpaceError(f"{name}={values!r}: expected a sequence with at least one value.")
    for value in options:
        fits = value in known if known else isinstance(value, int) and value >= 1
        if not fits:
            expected = f"one of {', '.join(known)}" if known else "whole numbers from 1"
            raise SpaceError(f"{name} holds {value!r}; expected {expected}.")
    return options
