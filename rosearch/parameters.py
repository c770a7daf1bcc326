"""Parameters of plug-ins that a search may choose, and immutable mappings of their values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rosearch.checks import choice, did_you_mean, refused
from rosearch.errors import GenomeError

Value = int | float | bool | str
"""Types of a parameter, all of which JSON can represent."""


@dataclass(frozen=True)
class Choice:
    """Values that the search may choose for one parameter.

    Args:
        values: All of them, in increasing order where they have one.
        default: Value of a part that does not set the parameter; the first value if omitted.
        check: Accepts further values that a search never chooses: called with the parameter's name
            and the value, it returns the value in a plain type or raises an ArgumentError.

    Raises:
        ArgumentError: There are no values, or ``default`` is not one of them.
    """

    values: tuple[Value, ...]
    default: Value
    check: Callable[[str, Any], Value] | None = field(default=None, compare=False)

    def __init__(
        self,
        *values: Value,
        default: Value | None = None,
        check: Callable[[str, Any], Value] | None = None,
    ) -> None:
        if not values:
            raise refused("values", "one or more values", values)
        object.__setattr__(self, "values", values)
        default = values[0] if default is None else choice("default", default, values)
        object.__setattr__(self, "default", default)
        object.__setattr__(self, "check", check)


class Parameters(Mapping[str, Value]):
    """An immutable, hashable mapping from parameter name to value."""

    __slots__ = ("_hash", "_values")

    def __init__(self, items: Mapping[str, Value]) -> None:
        self._values = dict(sorted(items.items()))
        self._hash = hash(tuple(self._values.items()))  # asked for a hundred times a genome

    def __reduce__(self) -> tuple[type[Parameters], tuple[dict[str, Value]]]:
        return Parameters, (self._values,)  # another process has other hashes

    def __getitem__(self, key: str) -> Value:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Parameters):  # the usual case, and much faster
            return self._values == other._values
        return Mapping.__eq__(self, other)

    def __repr__(self) -> str:
        return repr(self._values)


def complete(
    owner: str, choices: Mapping[str, Choice], parameters: Mapping[str, Any]
) -> dict[str, Value]:
    """Return ``parameters`` with the defaults filled in.

    Args:
        owner: The plug-in for messages, such as "the operator 'attention'".
        choices: Its parameters.
        parameters: Values for some of them.

    Raises:
        GenomeError: A parameter is unknown, or its value is not among the choices.
        ArgumentError: The parameter's check refuses the value.
    """
    values = {}
    for key, value in parameters.items():
        if key not in choices:
            known = ", ".join(choices) or "none"
            shown = owner[:1].upper() + owner[1:]
            hint = did_you_mean(key, choices)
            raise GenomeError(f"{shown} has no parameter {key!r}; known: {known}.{hint}")
        # 1 == True == 1.0 in Python; a genome's JSON must not depend on which was written.
        allowed = choices[key].values
        if any(type(value) is type(v) and value == v for v in allowed):
            values[key] = value
            continue
        check = choices[key].check
        if check is None:
            raise GenomeError(
                f"{key} of {owner} must be one of {', '.join(map(repr, allowed))}, got {value!r}."
            )
        values[key] = check(f"{key} of {owner}", value)
    return {key: values.get(key, choice.default) for key, choice in choices.items()}
