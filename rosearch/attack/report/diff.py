"""Word-level differences between a text and its perturbed version, and how to display them."""

from __future__ import annotations

import functools
import html
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import groupby
from operator import itemgetter
from typing import Literal, NamedTuple, TypeAlias

from rosearch.attack.text import word_spans

Color = Literal["auto"] | bool
Kind = Literal["same", "deleted", "inserted"]
Span: TypeAlias = tuple[int, int]
"""Start and end of a word in its text, in characters."""

_COUNT_PENALTY = 0.3
"""Cost of aligning a word with no word or per further word; dissimilarity costs 0 to 1."""
_MAX_PARTS = 4
# Control characters except newline and tab, bidirectional controls, and lone surrogates.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_MAX_COMPARISONS = 400
# Deleted: red and struck through. Inserted: green, bold and underlined. Never color alone.
_ANSI = {"deleted": ("\x1b[31;9m", "\x1b[0m"), "inserted": ("\x1b[32;1;4m", "\x1b[0m")}
_PLAIN = {"deleted": ("[-", "-]"), "inserted": ("{+", "+}")}
_HTML = {"deleted": ("<del>", "</del>"), "inserted": ("<ins>", "</ins>")}


class WordChange(NamedTuple):
    """One changed word of a text."""

    position: int
    """Index of the word in the original text; for an insertion, of the word it precedes."""
    before: str
    """The original word; empty for an insertion."""
    after: str
    """Its replacement, any number of words; empty for a deletion."""


class Segment(NamedTuple):
    """A part of a text that was kept, deleted or inserted."""

    kind: Kind
    text: str


class _Match(NamedTuple):
    """Aligned words of the original and of the perturbed text."""

    word: int
    before: Span
    after: Span


def changes(before: str, after: str) -> tuple[WordChange, ...]:
    """Return the changed words, in reading order.

    Words are compared by position if both texts have the same separators. Otherwise the texts are
    aligned, and a word that was split in two is one change.
    """
    aligned = (
        WordChange(index, before[slice(*old)], after[slice(*new)])
        for index, old, new in _matches(before, after)
    )
    return tuple(change for change in aligned if change.before != change.after)


def segments(before: str, after: str) -> tuple[Segment, ...]:
    """Return one sequence of segments for both texts.

    Without the deleted segments it reads ``after``, without the inserted ones ``before``.
    """
    parts: list[tuple[Kind, str]] = []
    old_end, new_end = 0, 0
    end = _Match(0, (len(before), len(before)), (len(after), len(after)))
    for _, old, new in (*_matches(before, after), end):
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


def _matches(before: str, after: str) -> Iterator[_Match]:
    old_spans, new_spans = word_spans(before), word_spans(after)
    if _separators(before, old_spans) == _separators(after, new_spans):
        for i, (old, new) in enumerate(zip(old_spans, new_spans, strict=True)):
            yield _Match(i, old, new)
        return
    old_words = [before[slice(*span)] for span in old_spans]
    new_words = [after[slice(*span)] for span in new_spans]
    matcher = SequenceMatcher(None, old_words, new_words, autojunk=False)
    for kind, i0, i1, j0, j1 in matcher.get_opcodes():
        if kind == "insert":
            place = old_spans[i0 - 1][1] if i0 else 0
            yield _Match(i0, (place, place), (new_spans[j0][0], new_spans[j1 - 1][1]))
            continue
        equal = kind == "equal"
        counts = [1] * (i1 - i0) if equal else _counts(old_words[i0:i1], new_words[j0:j1])
        j, end = j0, new_spans[j0 - 1][1] if j0 else 0
        for i, count in zip(range(i0, i1), counts, strict=True):
            span = (new_spans[j][0], new_spans[j + count - 1][1]) if count else (end, end)
            yield _Match(i, old_spans[i], span)
            j, end = j + count, span[1]


def _separators(text: str, spans: Sequence[Span]) -> list[str]:
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    return [text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _counts(words: Sequence[str], others: Sequence[str]) -> Sequence[int]:
    """Return how many of ``others`` each word became, at the lowest total cost."""
    n, m = len(words), len(others)
    if n * m > _MAX_COMPARISONS or m > _MAX_PARTS * n:
        # One by one as far as possible; the last word becomes all that remain.
        counts = [1 if i < m else 0 for i in range(n)]
        counts[-1] += max(0, m - n)
        return counts

    @functools.cache
    def cheapest(i: int, j: int) -> tuple[float, tuple[int, ...]]:
        """Cost and counts for ``words[i:]`` and ``others[j:]``."""
        if i == n:
            return (0.0 if j == m else float("inf")), ()
        options = []
        for count in range(min(_MAX_PARTS, m - j) + 1):
            cost, counts = cheapest(i + 1, j + count)
            cost += _dissimilarity(words[i], "".join(others[j : j + count]))
            options.append((cost + _COUNT_PENALTY * abs(count - 1), (count, *counts)))
        return min(options, key=itemgetter(0))

    return cheapest(0, 0)[1]


def _dissimilarity(word: str, other: str) -> float:
    if not other:
        return 1.0
    return 1 - SequenceMatcher(None, word.lower(), other.lower(), autojunk=False).ratio()
