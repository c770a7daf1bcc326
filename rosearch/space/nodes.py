"""What a genome is made of: nodes, the input, and parameters that cannot change."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rosearch.errors import GenomeError
from rosearch.operators import EmbeddingOperator, Operator, complete, require
from rosearch.operators.base import Searchable, Value


class Parameters(Mapping[str, Value]):
    """A mapping that cannot change, so that a genome can be hashed."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, Value]) -> None:
        self._items = tuple(sorted(items.items()))

    def __getitem__(self, key: str) -> Value:
        for name, value in self._items:
            if name == key:
                return value
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(self._items)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Parameters):  # the usual case, and much quicker
            return self._items == other._items
        return Mapping.__eq__(self, other)

    def __repr__(self) -> str:
        return repr(dict(self._items))

    def __reduce__(self) -> tuple[Any, ...]:
        return Parameters, (dict(self._items),)


@dataclass(frozen=True)
class Node:
    """One computation: merge the inputs, normalise, apply the operator, add the residual.

    Args:
        operator: Registered name.
        parameters: Values for the operator's choices; what is not named gets its default.
        inputs: Numbers of the nodes it reads: 0 is the embedding, ``k`` is ``nodes[k - 1]``.
            Order carries no meaning; kept sorted.
        merge: How several inputs are joined, one of :data:`rosearch.operators.MERGES`.
        residual: Whether the merged input is added to the operator's output.
        identity: What the node is called through mutations and crossovers, so that a child can
            take over its parent's weights. It carries no meaning: nodes that differ in it alone are
            equal. Empty: the genome names it, see :meth:`Genome.identities`.

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
        _complete(self, "node", Operator)
        object.__setattr__(self, "inputs", numbers(self.inputs, f"inputs of {self.operator!r}"))

    @classmethod
    def unchecked(
        cls,
        operator: str,
        parameters: Parameters,
        inputs: tuple[int, ...],
        merge: str,
        residual: bool,
        identity: str,
    ) -> Node:
        """A node of values that are known to be good: all parameters, and inputs sorted.

        For the random moves, which would spend most of their time on checks otherwise.
        """
        node = object.__new__(cls)
        node.__dict__.update(
            operator=operator,
            parameters=parameters,
            inputs=inputs,
            merge=merge,
            residual=residual,
            identity=identity,
        )
        return node

    def changed(self, **genes: Any) -> Node:
        """The node with other genes, which are known to be good as for :meth:`unchecked`."""
        node = object.__new__(Node)
        node.__dict__.update(self.__dict__)
        node.__dict__.update(genes)
        return node

    def __str__(self) -> str:
        return call(self)


@dataclass(frozen=True)
class Embedding:
    """How tokens become hidden states.

    Args:
        operator: Registered name of an :class:`~rosearch.operators.EmbeddingOperator`.
        parameters: Values for its choices; what is not named gets its default.

    Raises:
        RegistryError: No operator has that name.
        GenomeError: A parameter or its value is unknown to the operator, or the operator is no
            embedding.
    """

    operator: str = "subword_embedding"
    parameters: Mapping[str, Value] = Parameters({})

    def __post_init__(self) -> None:
        _complete(self, "embedding", EmbeddingOperator)

    @classmethod
    def unchecked(cls, operator: str, parameters: Parameters) -> Embedding:
        """An input of values that are known to be good, as for :meth:`Node.unchecked`."""
        source = object.__new__(cls)
        source.__dict__.update(operator=operator, parameters=parameters)
        return source

    def __str__(self) -> str:
        return call(self)


def numbers(values: Any, what: str) -> tuple[int, ...]:
    """Node numbers, sorted.

    Raises:
        GenomeError: They are no whole numbers; the message calls them ``what``.
    """
    try:
        return tuple(sorted(operator.index(i) for i in values))
    except TypeError:
        raise GenomeError(f"Expected the {what} as whole numbers, got {values!r:.200}.") from None


def _complete(part: Node | Embedding, what: str, kind: type[Searchable]) -> None:
    values: Any = (part.operator, part.parameters)  # from JSON they may be anything
    if not isinstance(values[0], str) or not isinstance(values[1], Mapping):
        article = "an" if what[0] in "aeiou" else "a"
        raise GenomeError(
            f"Expected {article} {what}'s operator as a str and its parameters as a mapping, got "
            f"{part.operator!r} and {part.parameters!r}."
        )
    require(part.operator, kind)
    object.__setattr__(part, "parameters", Parameters(complete(part.operator, part.parameters)))


def call(part: Node | Embedding) -> str:
    """Operator and parameters as they would be written in code."""
    values = ", ".join(f"{k}={v}" for k, v in part.parameters.items())
    return f"{part.operator}({values})" if values else part.operator
