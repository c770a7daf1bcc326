"""The settings of a study as plain data."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any


class PublicSettings:
    """Base class of objects whose public attributes are their settings."""

    @property
    def settings(self) -> dict[str, Any]:
        """Name and public attributes; they cannot change within a study."""
        public = {k: v for k, v in sorted(vars(self).items()) if not k.startswith("_")}
        return {"name": type(self).__qualname__, **public}

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v!r}" for k, v in self.settings.items() if k != "name")
        return f"{type(self).__name__}({shown})"


def describe(evaluate: Callable[..., Any]) -> dict[str, Any]:
    """What identifies an evaluation: its name, and its ``settings`` if it has any.

    For a method, the settings are those of its object.
    """
    if isinstance(evaluate, functools.partial):
        return {
            "partial": describe(evaluate.func),
            "arguments": [_plain_or_class(a) for a in evaluate.args],
            "keywords": {k: _plain_or_class(v) for k, v in sorted(evaluate.keywords.items())},
        }
    named = evaluate if hasattr(evaluate, "__qualname__") else type(evaluate)
    description: dict[str, Any] = {"callable": f"{named.__module__}.{named.__qualname__}"}
    settings = getattr(getattr(evaluate, "__self__", evaluate), "settings", None)
    return description if settings is None else description | {"settings": dict(settings)}


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` after a round trip through JSON, so that tuples and lists compare equal.

    Raises:
        TypeError: JSON cannot hold them.
    """
    try:
        return dict(json.loads(json.dumps(settings)))
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"Settings of a study must be plain data that JSON can hold ({error}). Check the "
            f"settings of the space, the evaluation, the fitness and the strategy."
        ) from error


def _plain_or_class(value: Any) -> Any:
    """``value`` if JSON can hold it, else its class: its text may hold a memory address."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return type(value).__qualname__
    return value
