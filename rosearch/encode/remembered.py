"""Canonical forms that are remembered."""

from __future__ import annotations

from collections.abc import Callable

_MAX_REMEMBERED = 1 << 19
"""Encoded segments after which the memory is cleared; an attack on long texts makes millions."""

_LONGEST_REMEMBERED = 96
"""Characters of a segment that is remembered."""


def remembered(known: dict[str, str], text: str, read: Callable[[str], str]) -> str:
    """Return ``read(text)``, from what is known if it is there; what is short is remembered."""
    found = known.get(text)
    if found is None:
        found = read(text)
        if len(text) <= _LONGEST_REMEMBERED:
            if len(known) > _MAX_REMEMBERED:
                known.clear()
            known[text] = found
    return found
