"""What a study was made for: settings as plain data, and what differs between two of them."""

from __future__ import annotations

import functools
import itertools
import json
import platform
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_ABSENT = object()
_SHOWN = 120
"""Most characters of a value that a message shows."""
_BEFORE = 40
"""Characters shown before the first that differs."""
_PACKAGES = ("rosearch", "optuna", "torch", "transformers", "numpy")


def describe(evaluate: Callable[..., Any]) -> dict[str, Any]:
    """What identifies an evaluation: where it is defined, and its ``settings`` if it has some.

    Of a method those of its object count.
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
    """One line for each setting that differs: its path, its value in the study and now.

    Lists of settings are gone through, lists of numbers or words are shown as one setting.
    """
    if isinstance(stored, dict) and isinstance(current, dict):
        for key in sorted({*stored, *current}):
            below = f"{path}.{key}" if path else key
            yield from differences(stored.get(key, _ABSENT), current.get(key, _ABSENT), below)
    elif _nested(stored) and _nested(current) and len(stored) == len(current):
        for place, (before, now) in enumerate(zip(stored, current, strict=True)):
            yield from differences(before, now, f"{path}[{place}]")
    elif stored is _ABSENT or current is _ABSENT or stored != current:
        before, now = _shown(stored, current)
        yield f"{path}: {before} in the study, {now} now"


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on, where installed."""
    found = {package: _version(package) for package in _PACKAGES}
    return {"python": platform.python_version()} | {k: v for k, v in found.items() if v}


@functools.cache
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


def _nested(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value)


def _shown(stored: Any, current: Any) -> list[str]:
    """Two values that differ; of long ones the part where they do."""
    texts = ["not set" if value is _ABSENT else repr(value) for value in (stored, current)]
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False))
    start = sum(1 for _ in same) - _BEFORE
    return [_cut(text, start) for text in texts]


def _cut(text: str, start: int) -> str:
    if len(text) <= _SHOWN:
        return text
    # The beginning is shown where the difference is near it.
    start = start if start > _BEFORE else 0
    end = start + _SHOWN
    return ("..." if start else "") + text[start:end] + ("..." if end < len(text) else "")
