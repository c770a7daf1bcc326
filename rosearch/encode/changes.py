"""What a changed text changes in its canonical text, without reading the whole text again."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate, pairwise
from typing import NamedTuple

from rosearch.encode.base import Encoding

_SPACE = re.compile(r"\s")
_GUARD = 1
"""Segments on either side of a part that must stay what they were for the part to be enough."""


def canonical_edits(
    encoding: Encoding, text: str, edits: Iterable[tuple[int, int, str]]
) -> list[tuple[int, int, str]]:
    """Return what edits of a text change in its canonical text.

    Where the encoding's ``reach`` is known, only the words near to an edit are read.

    Args:
        encoding: The encoding, fitted.
        text: The text, not encoded.
        edits: Start and end in characters of a part of the text, and what replaces it.

    Returns:
        For each edit, start and end of a part of the canonical text that holds all that differs,
        and what stands there instead.
    """
    read = None if encoding.reach is None else _Parts(encoding, text)
    whole = len(encoding(text))
    found = []
    for start, end, new in edits:
        edit = read.changed(start, end, new) if read else None
        found.append(edit or (0, whole, encoding(f"{text[:start]}{new}{text[end:]}")))
    return found


class _Run(NamedTuple):
    """A run of characters without white space that is read by itself."""

    start: int
    end: int
    canonical_start: int
    canonical_end: int
    left: str
    """The run before it."""
    right: str
    """The run after it."""


class _Parts:
    """A text in segments, of which a few around a change are read again."""

    def __init__(self, encoding: Encoding, text: str) -> None:
        self._encoding, self._text = encoding, text
        self._margin = (encoding.reach or 0) + _GUARD
        self._spaces = [match.start() for match in _SPACE.finditer(text)]
        self._borders = [-1, *self._spaces, len(text)]
        self._segments = encoding.segments(text)
        self._starts = [start for start, _ in self._segments]
        self._ends = [end for _, end in self._segments]
        longer = (
            len(encoding.canonical_word(text[start:end])) - (end - start)
            for start, end in self._segments
        )
        self._shifts = list(accumulate(longer, initial=0))
        self._alone: dict[tuple[int, int], bool] = {}
        self._runs: dict[int, _Run | None] = {}

    def changed(self, start: int, end: int, new: str) -> tuple[int, int, str] | None:
        """An edit of the canonical text; ``None``: unknown from the words near to it."""
        return self._changed_apart(start, end, new) or self._changed(start, end, new)

    def _changed_apart(self, start: int, end: int, new: str) -> tuple[int, int, str] | None:
        """As :meth:`changed`, where the run of characters around an edit is read by itself."""
        place = bisect_left(self._spaces, start)
        if bisect_left(self._spaces, end) != place or _SPACE.search(new):
            return None
        if place not in self._runs:
            self._runs[place] = self._run_apart(place)
        run = self._runs[place]
        if run is None:
            return None
        text = f"{self._text[run.start : start]}{new}{self._text[end : run.end]}"
        if not (text and self._encoding.reads_apart(run.left, text, run.right)):
            return None
        return run.canonical_start, run.canonical_end, self._encoding.canonical_run(text)

    def _run_apart(self, place: int) -> _Run | None:
        """The run before a white space by its number, if it is read by itself."""
        borders = self._borders
        # Its own borders, and those of its neighbours.
        near = borders[max(0, place - 1) : place + 3]
        runs = [self._text[a + 1 : b] for a, b in pairwise(near)]
        if not all(runs):
            return None  # white space after white space, or at an end
        left = runs[0] if place else ""
        right = runs[-1] if place + 2 < len(borders) else ""
        run = runs[1 if place else 0]
        start, end = borders[place] + 1, borders[place + 1]
        starts = [start, start - len(left) - 1] if place else [start]
        is_border = all(self._is_border(at) for at in [*starts, end])
        if not (is_border and self._encoding.reads_apart(left, run, right)):
            return None
        first, last = bisect_right(self._ends, start), bisect_left(self._starts, end)
        return _Run(start, end, start + self._shifts[first], end + self._shifts[last], left, right)

    def _is_border(self, at: int) -> bool:
        """Whether no segment begins before a place and ends after it."""
        after = bisect_right(self._ends, at)
        return after == len(self._ends) or self._starts[after] >= at

    def _changed(self, start: int, end: int, new: str) -> tuple[int, int, str] | None:
        first, a = self._first(max(0, bisect_left(self._ends, start) - self._margin))
        last, b = self._last(bisect_right(self._starts, end) + self._margin)
        text = self._text
        part = f"{text[a:start]}{new}{text[end:b]}"
        found = self._encoding.segments(part)
        longer = len(part) - (b - a)
        before = self._moved(first, first + _GUARD, -a) if first else []
        after = self._moved(last - _GUARD, last, longer - a) if last < len(self._ends) else []
        is_bordered = found[: len(before)] == before and found[len(found) - len(after) :] == after
        if not (is_bordered and self._reads_alone(first, last, a, b)):
            return None
        canonical = self._encoding.of_segments(part, found)
        return a + self._shifts[first], b + self._shifts[last], canonical

    def _first(self, place: int) -> tuple[int, int]:
        """The first segment to read, from a candidate down, and where reading begins."""
        while place:
            before = bisect_left(self._spaces, self._starts[place])
            begin = self._spaces[before - 1] + 1 if before else 0
            if self._ends[place - 1] <= begin:
                return place, begin
            place -= 1
        return 0, 0

    def _last(self, place: int) -> tuple[int, int]:
        """The segment after the last to read, from a candidate up, and where reading ends."""
        while place < len(self._ends):
            after = bisect_left(self._spaces, self._ends[place - 1])
            end = self._spaces[after] if after < len(self._spaces) else len(self._text)
            if end <= self._starts[place]:
                return place, end
            place += 1
        return len(self._ends), len(self._text)

    def _moved(self, first: int, last: int, by: int) -> list[tuple[int, int]]:
        return [(start + by, end + by) for start, end in self._segments[first:last]]

    def _reads_alone(self, first: int, last: int, a: int, b: int) -> bool:
        """Whether a part of the text has the segments by itself that it has in the text."""
        known = self._alone.get((first, last))
        if known is None:
            known = self._encoding.segments(self._text[a:b]) == self._moved(first, last, -a)
            self._alone[first, last] = known
        return known
