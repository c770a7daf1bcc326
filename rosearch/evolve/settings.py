"""What a study was made for: settings as plain data, and what differs between two of them."""

from __future__ import annotations

import functools
import json
import platform
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_ABSENT = object()
_PACKAGES = ("rosearch", "optuna", "torch", "transformers", "numpy")


def describe(evaluate: Callable[..., Any]) -> dict[str, Any]:
    """What identifies an evaluation: where it is defined, and its ``settings`` if it has some."""
    if isinstance(evaluate, functools.partial):
        return {
            "partial": describe(evaluate.func),
            "arguments": [_plain_or_class(a) for a in evaluate.args],
            "keywords": {k: _plain_or_class(v) for k, v in sorted(evaluate.keywords.items())},
        }
    named = evaluate if hasattr(evaluate, "__qualname__") else type(evaluate)
    description: dict[str, Any] = {"callable": f"{named.__module__}.{named.__qualname__}"}
    settings = getattr(evaluate, "settings", None)
    return description if settings is None else description | {"settings": dict(settings)}


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` as JSON gives them back, so that tuples and lists compare equal.

    Raises:
        TypeError: They hold something that JSON cannot.
    """
    try:
        return dict(json.loads(json.dumps(settings)))
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"Settings of a study must be plain data that JSON can hold ({error}). Look at the "
            f"settings of the space, the evaluation, the fitness and the strategy."
        ) from error


def differences(stored: Any, current: Any, path: str = "") -> Iterator[str]:
    """One line for each setting that differs: its path, its value in the study and now."""
    if isinstance(stored, dict) and isinstance(current, dict):
        for key in sorted({*stored, *current}):
            below = f"{path}.{key}" if path else key
            yield from differences(stored.get(key, _ABSENT), current.get(key, _ABSENT), below)
    elif stored is _ABSENT or current is _ABSENT or stored != current:
        yield f"{path}: {_shown(stored)} in the study, {_shown(current)} now"


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on, where installed."""
    found = {package: _version(package) for package in _PACKAGES}
    return {"python": platform.python_version()} | {k: v for k, v in found.items() if v}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _plain_or_class(value: Any) -> Any:
    """``value`` where JSON can hold it, else its class: its text may hold an address in memory."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return type(value).__qualname__
    return value


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "not set"
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
