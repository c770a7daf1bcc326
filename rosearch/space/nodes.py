"""The parts of a genome: nodes, the embedding, and encodings of the text."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args

from rosearch.encode.base import Level, encodings
from rosearch.errors import GenomeError
from rosearch.operators import EmbeddingOperator, Operator, complete, require
from rosearch.operators.base import Searchable
from rosearch.parameters import Parameters, Value

EMBEDDING = "embedding"
OUTPUT = "output"

LEVELS: tuple[Level, ...] = get_args(Level)
"""Levels of encodings, in the order in which a genome applies them."""

T = TypeVar("T")


@dataclass(frozen=True)
class Node:
    """One computation: merge the inputs, normalise, apply the operator, add the residual.

    Args:
        operator: Registered name.
        parameters: Values for the operator's choices; omitted ones get their defaults.
        inputs: Numbers of the nodes it reads: 0 is the embedding, ``k`` is ``nodes[k - 1]``.
            The order has no meaning; they are kept sorted.
        merge: How several inputs are combined, one of :data:`rosearch.operators.MERGES`.
        residual: Whether to add the merged input to the operator's output.
        identity: Name that the node keeps through mutations and crossovers, so that a child can
            inherit its parent's weights. It is ignored when nodes are compared. If empty, the
            genome derives one, see :attr:`Genome.identities`.

    Raises:
        RegistryError: No operator has that name.
        GenomeError: A parameter or its value is unknown to the operator, or the operator is an
            embedding.
    """

    operator: str
    parameters: Mapping[str, Value] = Parameters({})
    inputs: tuple[int, ...] = (0,)
    merge: str = "sum"
    residual: bool = True
    identity: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        _complete_parameters(self, "node", Operator)
        inputs = node_numbers(self.inputs, f"inputs of {self.operator!r}")
        object.__setattr__(self, "inputs", inputs)

    def __str__(self) -> str:
        return _as_call(self.operator, self.parameters)


@dataclass(frozen=True)
class Embedding:
    """How tokens become hidden states.

    Args:
        operator: Registered name of an :class:`~rosearch.operators.EmbeddingOperator`.
        parameters: Values for its choices; omitted ones get their defaults.

    Raises:
        RegistryError: No operator has that name.
        GenomeError: A parameter or its value is unknown to the operator, or the operator is not
            an embedding.
    """

    operator: str = "subword_embedding"
    parameters: Mapping[str, Value] = Parameters({})

    def __post_init__(self) -> None:
        _complete_parameters(self, "embedding", EmbeddingOperator)

    def __str__(self) -> str:
        return _as_call(self.operator, self.parameters)


@dataclass(frozen=True)
class TextEncoding:
    """How texts are rewritten before they are tokenised.

    It says which encoding, not what that has learnt: the encoding is fitted for each data set.

    Args:
        name: Registered name of an :class:`~rosearch.encode.Encoding`.
        parameters: Values for its choices; omitted ones get their defaults.

    Raises:
        RegistryError: No encoding has that name.
        GenomeError: A parameter or its value is unknown to the encoding.
        ArgumentError: A value is out of range.
    """

    name: str
    parameters: Mapping[str, Value] = Parameters({})

    def __post_init__(self) -> None:
        _check_types("name of each encoding", self.name, self.parameters)
        complete_parameters = encodings.get(self.name).complete(self.parameters)
        object.__setattr__(self, "parameters", Parameters(complete_parameters))

    @property
    def level(self) -> Level:
        """What the encoding makes equal, see :attr:`rosearch.encode.Encoding.level`."""
        return encodings.get(self.name).level

    def __str__(self) -> str:
        return _as_call(self.name, self.parameters)


def unchecked(kind: type[T], *values: Any) -> T:
    """Return an instance of a frozen dataclass without running its checks.

    For sampling, mutation and crossover, which are valid by construction and would spend most of
    their time on checks.

    Args:
        kind: :class:`Node`, :class:`Embedding`, :class:`TextEncoding` or :class:`Genome`.
        values: All of its fields in order, in their final form: parameters complete and of the
            type :class:`Parameters`, node numbers sorted.
    """
    made = object.__new__(kind)
    made.__dict__.update(zip(kind.__dataclass_fields__, values, strict=True))  # type: ignore[attr-defined]
    return made


def changed(part: T, **fields: Any) -> T:
    """Return a copy of a part or a genome with other fields, unchecked as above."""
    made = object.__new__(type(part))
    made.__dict__.update(part.__dict__)
    made.__dict__.update(fields)
    return made


def node_numbers(values: Any, what: str) -> tuple[int, ...]:
    """Return node numbers, sorted.

    Args:
        values: The node numbers.
        what: What they are, for the error message.

    Raises:
        GenomeError: They are not whole numbers.
    """
    try:
        return tuple(sorted(operator.index(i) for i in values))
    except TypeError:
        raise GenomeError(f"{what} must be whole numbers, got {values!r:.200}.") from None


def _complete_parameters(part: Node | Embedding, what: str, kind: type[Searchable]) -> None:
    _check_types(f"operator of each {what}", part.operator, part.parameters)
    require(part.operator, kind)
    object.__setattr__(part, "parameters", Parameters(complete(part.operator, part.parameters)))


def _check_types(what: str, name: Any, parameters: Any) -> None:
    # From JSON they may be anything.
    if not isinstance(name, str) or not isinstance(parameters, Mapping):
        raise GenomeError(
            f"The {what} must be a str and its parameters a mapping, got {name!r} and "
            f"{parameters!r}."
        )


def _as_call(name: str, parameters: Mapping[str, Value]) -> str:
    """Return name and parameters as a function call, such as ``attention(heads=4)``."""
    values = ", ".join(f"{k}={v}" for k, v in parameters.items())
    return f"{name}({values})" if values else name
