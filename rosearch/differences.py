"""The differences between stored settings and those of now."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

_MAX_SHOWN = 120
"""Characters of a value that a message shows."""

_NOT_SET = object()


def differences(
    stored: Any, current: Any, path: str = "", *, place: str = "study"
) -> Iterator[str]:
    """One line for each setting that differs: its path, its stored value and that of now.

    A list of numbers or strings is one setting; longer lists are compared item by item.

    Args:
        stored: The stored settings.
        current: Those of now.
        path: Where both are in larger settings.
        place: What the stored settings are in, for the text.
    """
    if isinstance(stored, dict) and isinstance(current, dict):
        for key in sorted({*stored, *current}):
            below = f"{path}.{key}" if path else key
            before, now = stored.get(key, _NOT_SET), current.get(key, _NOT_SET)
            yield from differences(before, now, below, place=place)
    elif _is_nested(stored) and _is_nested(current) and len(stored) == len(current):
        for i, (before, now) in enumerate(zip(stored, current, strict=True)):
            yield from differences(before, now, f"{path}[{i}]", place=place)
    elif stored != current:
        texts = ["not set" if value is _NOT_SET else repr(value) for value in (stored, current)]
        same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False))
        start = max(0, sum(1 for _ in same) - _MAX_SHOWN // 4)
        before, now = (_excerpt(text, start) for text in texts)
        yield f"{path}: {before} in the {place}, {now} now"


def _is_nested(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value)


def _excerpt(text: str, start: int) -> str:
    """``text``, or if it is long the part from ``start``, where two values begin to differ."""
    if len(text) <= _MAX_SHOWN:
        return text
    end = start + _MAX_SHOWN
    return f"{'...' if start else ''}{text[start:end]}{'...' if end < len(text) else ''}"
