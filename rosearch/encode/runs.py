"""Texts, read run by run where words do not decide about each other; attacks change few runs."""

from __future__ import annotations

import re
from collections.abc import Callable

_SPACES = re.compile(r"(\s+)")

LONG = 200
"""Characters from which on that is faster than reading a whole text."""

_MAX_REMEMBERED = 1 << 17
"""Runs with their neighbours after which the memory is cleared."""

Apart = dict[tuple[str, str, str], str | None]
"""By the run before, a run and the run after: its canonical form where it is read by itself."""


def read_runs(
    text: str,
    known: Apart,
    reads_apart: Callable[[str, str, str], bool],
    read: Callable[[str], str],
) -> str:
    """Return the canonical form of a text.

    Args:
        text: The text.
        known: What was met before; it is extended.
        reads_apart: :meth:`rosearch.encode.Encoding.reads_apart`.
        read: Returns the canonical form of one run or of several; it should remember them.
    """
    if len(known) > _MAX_REMEMBERED:
        known.clear()
    pieces = ["", *_SPACES.split(text)]  # white space, and runs between
    runs = pieces[1::2]
    found: list[str] = []
    done = 0  # pieces that ``found`` has; runs from there on are read together
    keys = zip(["", *runs[:-1]], runs, [*runs[1:], ""], strict=True)
    for k, key in zip(range(1, len(pieces), 2), keys, strict=True):
        try:
            form = known[key]
        except KeyError:
            run = key[1]
            form = known[key] = read(run) if not run or reads_apart(*key) else None
        if form is None:
            continue
        if k - done > 1:
            found += (pieces[done], read("".join(pieces[done + 1 : k - 1])), pieces[k - 1], form)
        else:
            found += (pieces[done], form)
        done = k + 1
    if done < len(pieces):
        found += (pieces[done], read("".join(pieces[done + 1 :])))
    return "".join(found)
