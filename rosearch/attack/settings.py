"""Settings of attacks and their components, as JSON."""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from rosearch.errors import DataError

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def check_whole(name: str, value: Any, *, least: int | None = 1) -> int:
    """``value`` as an int.

    Args:
        name: What the value is called, for the message.
        value: Any whole number; one of NumPy's is welcome, a bool is not.
        least: Smallest value allowed; ``None``: any.

    Raises:
        DataError: It is no whole number, or smaller than ``least``.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or (least is not None and number < least):
        bound = "" if least is None else f", at least {least}"
        raise DataError(f"{name} is a whole number{bound}; got {value!r:.80}.")
    return number


def check_number(
    name: str, value: Any, *, least: float = -float("inf"), most: float = float("inf")
) -> float:
    """``value`` as a float.

    Raises:
        DataError: It is no number, not a number (NaN), or outside ``[least, most]``.
    """
    try:
        number = float("nan") if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not least <= number <= most:
        raise DataError(f"{name} is a number from {least:g} to {most:g}; got {value!r:.80}.")
    return number


def name_of(function: Any) -> str:
    """Return the qualified name of a function, or of an object's class."""
    named = function if hasattr(function, "__qualname__") else type(function)
    module = getattr(named, "__module__", None)
    return f"{module}.{named.__qualname__}" if module else str(named.__qualname__)


def without_addresses(text: str) -> str:
    """Remove memory addresses from a ``repr``, since they differ between processes."""
    return _ADDRESS.sub("", text)


def public_settings(instance: object) -> dict[str, Any]:
    """Return the public attributes of ``instance`` as JSON.

    Components with settings of their own are replaced by these, functions and classes by their
    names, other objects by their ``repr`` without memory addresses; sets are sorted.
    """
    return {k: _plain(v) for k, v in vars(instance).items() if not k.startswith("_")}


class Part:
    """Base class of the components of attacks; their public attributes are their settings."""

    name: ClassVar[str]

    @property
    def settings(self) -> Mapping[str, Any]:
        """Name and all parameters, as JSON."""
        return {"name": self.name, **public_settings(self)}

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v!r}" for k, v in public_settings(self).items())
        return f"{type(self).__name__}({shown})"


def _plain(value: Any) -> Any:
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, functools.partial):
        arguments = {"arguments": _plain(value.args), "keywords": _plain(value.keywords)}
        return {"partial": _plain(value.func), **arguments}
    if hasattr(value, "__qualname__"):
        return name_of(value)
    if hasattr(value, "settings"):
        return _plain(value.settings)
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(map(_plain, value))
    if isinstance(value, Sequence):
        return [_plain(v) for v in value]
    return without_addresses(repr(value))
