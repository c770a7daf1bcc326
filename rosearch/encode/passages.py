"""Long texts, whose passages are read one by one and remembered: attacks change few of them."""

from __future__ import annotations

import re
from collections.abc import Callable

_LONG = 256
"""Characters from which on a text is read in passages."""
_END = re.compile(r"[.!?]\s+|\n\s*")
_LONGEST = 2048
"""Characters of a passage; what is longer is read as one with all that follows."""
_MAX_REMEMBERED = 1 << 14
"""Passages after which the memory is cleared."""


def read_passages(
    text: str,
    known: dict[str, str | None],
    read: Callable[[str], str],
    closes: Callable[[str], bool],
) -> str:
    """Return the canonical form of a text; of a long one, that of each passage.

    Args:
        text: The text.
        known: Canonical forms of passages, ``None`` of those that go on; it is extended.
        read: Returns the canonical form of a text.
        closes: Returns whether nothing behind a passage is read with it.
    """
    if len(text) < _LONG:
        return read(text)
    if len(known) > _MAX_REMEMBERED:
        known.clear()
    pieces: list[str] = []
    start = 0
    for match in _END.finditer(text):
        end = match.end()
        passage = text[start:end]
        if passage not in known:
            known[passage] = read(passage) if closes(passage) else None
        form = known[passage]
        if form is not None:
            pieces.append(form)
            start = end
        elif end - start > _LONGEST:
            break
    rest = text[start:]
    last = known.get(rest)
    if last is None:
        last = read(rest)
        if len(rest) <= _LONGEST:
            known.setdefault(rest, last)
    return "".join([*pieces, last])
