"""The settings of a study as plain data, and the differences between two of them."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import platform
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PACKAGES = ("rosearch", "optuna", "torch", "transformers", "numpy")
_MAX_SHOWN = 120
"""Characters of a value that a message shows."""


_NOT_SET = object()


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


def differences(stored: Any, current: Any, path: str = "") -> Iterator[str]:
    """One line for each setting that differs: its path, its value in the study and now.

    A list of numbers or strings is one setting; longer lists are compared item by item.
    """
    if isinstance(stored, dict) and isinstance(current, dict):
        for key in sorted({*stored, *current}):
            below = f"{path}.{key}" if path else key
            yield from differences(stored.get(key, _NOT_SET), current.get(key, _NOT_SET), below)
    elif _is_nested(stored) and _is_nested(current) and len(stored) == len(current):
        for place, (before, now) in enumerate(zip(stored, current, strict=True)):
            yield from differences(before, now, f"{path}[{place}]")
    elif stored != current:
        texts = ["not set" if value is _NOT_SET else repr(value) for value in (stored, current)]
        same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False))
        start = max(0, sum(1 for _ in same) - _MAX_SHOWN // 4)
        before, now = (_excerpt(text, start) for text in texts)
        yield f"{path}: {before} in the study, {now} now"


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on, if installed."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _plain_or_class(value: Any) -> Any:
    """``value`` if JSON can hold it, else its class: its text may hold a memory address."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return type(value).__qualname__
    return value


def _is_nested(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value)


def _excerpt(text: str, start: int) -> str:
    """``text``, or if it is long the part from ``start``, where two values begin to differ."""
    if len(text) <= _MAX_SHOWN:
        return text
    end = start + _MAX_SHOWN
    return f"{'...' if start else ''}{text[start:end]}{'...' if end < len(text) else ''}"
