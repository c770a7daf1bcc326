"""Word-level differences between a text and its perturbed version, and how to display them."""

from __future__ import annotations

import html
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import groupby
from operator import itemgetter
from typing import Literal, NamedTuple, TypeAlias

from rosearch.words import word_spans

Color = Literal["auto"] | bool
Kind = Literal["same", "deleted", "inserted"]
Span: TypeAlias = tuple[int, int]
"""Start and end of a word in its text, in characters."""

# Control characters except newline and tab, bidirectional controls, and lone surrogates.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# Deleted: red and struck through. Inserted: green, bold and underlined. Never color alone.
_ANSI = {"deleted": ("\x1b[31;9m", "\x1b[0m"), "inserted": ("\x1b[32;1;4m", "\x1b[0m")}
_PLAIN = {"deleted": ("[-", "-]"), "inserted": ("{+", "+}")}
_HTML = {"deleted": ("<del>", "</del>"), "inserted": ("<ins>", "</ins>")}


class Segment(NamedTuple):
    """A part of a text that was kept, deleted or inserted."""

    kind: Kind
    text: str


def segments(before: str, after: str) -> tuple[Segment, ...]:
    """Return one sequence of segments for both texts.

    Without the deleted segments it reads ``after``, without the inserted ones ``before``. Words are
    compared by position if both texts have the same separators. Otherwise the texts are aligned,
    and neighbouring words whose number changed, such as a word split in two, are one change.
    """
    parts: list[tuple[Kind, str]] = []
    old_end, new_end = 0, 0
    end = ((len(before), len(before)), (len(after), len(after)))
    for old, new in (*_aligned(before, after), end):
        for deleted, inserted in (
            (before[old_end : old[0]], after[new_end : new[0]]),
            (before[slice(*old)], after[slice(*new)]),
        ):
            same = deleted == inserted
            parts += [("same", deleted)] if same else [("deleted", deleted), ("inserted", inserted)]
        old_end, new_end = old[1], new[1]
    runs = groupby((part for part in parts if part[1]), key=itemgetter(0))
    return tuple(Segment(kind, "".join(text for _, text in run)) for kind, run in runs)


def in_terminal(before: str, after: str, *, color: Color = "auto") -> str:
    """Return both texts as one line for a terminal.

    Args:
        before: The original text.
        after: The perturbed text.
        color: Use ANSI codes; otherwise the marks are ``[-deleted-]`` and ``{+inserted+}``.
            ``"auto"`` uses them if standard output is a terminal and ``NO_COLOR`` is not set.
    """
    if color == "auto":
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        color = sys.stdout.isatty() and not plain
    return _marked(before, after, _escape_controls, _ANSI if color else _PLAIN)


def in_html(before: str, after: str) -> str:
    """Return both texts as HTML with ``<del>`` and ``<ins>``; the texts' own markup is escaped."""
    return _marked(before, after, escape, _HTML)


def escape(text: str) -> str:
    """Return ``text`` as ASCII HTML: markup and non-ASCII characters become references."""
    shown = html.escape(_escape_controls(text))
    return shown.encode("ascii", "xmlcharrefreplace").decode("ascii")


def _marked(
    before: str, after: str, escaped: Callable[[str], str], marks: Mapping[str, tuple[str, str]]
) -> str:
    return "".join(
        escaped(text).join(marks.get(kind, ("", ""))) for kind, text in segments(before, after)
    )


def _escape_controls(text: str) -> str:
    """Replace control characters by their codes, since they could control the reader's terminal."""
    return _CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode("ascii"), text)


def _aligned(before: str, after: str) -> Iterator[tuple[Span, Span]]:
    """Return pairs of spans: a word or several in ``before``, and what they became."""
    old_spans, new_spans = word_spans(before), word_spans(after)
    blocks = [(0, len(old_spans), 0, len(new_spans))]
    if _separators(before, old_spans) != _separators(after, new_spans):
        old_words = [before[slice(*span)] for span in old_spans]
        new_words = [after[slice(*span)] for span in new_spans]
        matcher = SequenceMatcher(None, old_words, new_words, autojunk=False)
        blocks = [(i0, i1, j0, j1) for _, i0, i1, j0, j1 in matcher.get_opcodes()]
    for i0, i1, j0, j1 in blocks:
        if i1 - i0 == j1 - j0:
            yield from zip(old_spans[i0:i1], new_spans[j0:j1], strict=True)
        else:
            yield _extent(old_spans, i0, i1), _extent(new_spans, j0, j1)


def _extent(spans: Sequence[Span], start: int, end: int) -> Span:
    """Return the span of the words ``[start, end)``, empty and after the word before if none."""
    if start < end:
        return spans[start][0], spans[end - 1][1]
    place = spans[start - 1][1] if start else 0
    return place, place


def _separators(text: str, spans: Sequence[Span]) -> list[str]:
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    return [text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]
