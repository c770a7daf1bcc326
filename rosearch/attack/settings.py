"""Settings of attacks and their components, as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


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


def declares(part: Any, name: str) -> bool:
    """Whether the class of a part itself sets a flag or has a method.

    One that a subclass inherits may not hold for what the subclass overrides.
    """
    return name in vars(type(part)) and bool(getattr(part, name))


class Part:
    """Base class of attacks and their components; their public attributes are their settings."""

    name: ClassVar[str]
    identity: ClassVar[tuple[str, ...]] = ("name",)
    """Class attributes that are listed before the settings."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Name and all parameters, as JSON; of an attack also its version."""
        return {**{k: getattr(self, k) for k in self.identity}, **public_settings(self)}

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v!r}" for k, v in public_settings(self).items())
        return f"{type(self).__name__}({shown})"


def _plain(value: Any) -> Any:
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if isinstance(value, np.generic):
        return value.item()
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
