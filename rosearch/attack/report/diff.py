"""What an attack changed in a text, word by word, and how to show it."""

from __future__ import annotations

import html
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

from rosearch.attack.text import word_spans

Color = Literal["auto"] | bool
Kind = Literal["same", "deleted", "inserted"]

_ODD_COUNT = 0.3
"""What it costs to take a word for several, or for none, against a likeness between 0 and 1."""
_MOST_PARTS = 4
_MOST_COMPARED = 400
# Deleted: red and struck through. Inserted: green, bold and underlined. Never colour alone.
_ANSI = {"deleted": "\x1b[31;9m", "inserted": "\x1b[32;1;4m"}
_PLAIN = {"deleted": ("[-", "-]"), "inserted": ("{+", "+}")}
_TAGS = {"deleted": "del", "inserted": "ins"}


class WordChange(NamedTuple):
    """One word of a text and what stands in its place."""

    position: int
    """Which word of the original text, from 0; for an insertion, the word it stands before."""
    before: str
    """The word as it was; empty for an insertion."""
    after: str
    """What replaced it: any number of words; empty for a deletion."""


@dataclass(frozen=True)
class Segment:
    """A stretch of a text that was kept, deleted or inserted."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class _Match:
    """Words of the original and of the perturbed text that belong together, as character spans."""

    index: int
    before: tuple[int, int]
    after: tuple[int, int]
    same: bool


def changes(before: str, after: str) -> tuple[WordChange, ...]:
    """The words that differ, in reading order.

    Words in the same place are compared where both texts have as many and the same between them;
    else the texts are aligned, and a word that became two is one change.
    """
    return tuple(
        WordChange(m.index, before[slice(*m.before)], after[slice(*m.after)])
        for m in _matches(before, after)
        if not m.same
    )


def segments(before: str, after: str) -> tuple[Segment, ...]:
    """Both texts in one: without what is deleted it reads ``after``, without what is inserted
    ``before``.
    """
    out: list[Segment] = []
    at, to = 0, 0
    for match in (*_matches(before, after), None):
        (b0, b1), (a0, a1) = (
            (match.before, match.after)
            if match is not None
            else ((len(before),) * 2, (len(after),) * 2)
        )
        _add(out, before[at:b0], after[to:a0])
        _add(out, before[b0:b1], after[a0:a1])
        at, to = b1, a1
    return tuple(out)


def in_terminal(before: str, after: str, *, color: Color = "auto") -> str:
    """Both texts in one line: deleted words struck through, inserted ones underlined.

    Args:
        before: The original text.
        after: The perturbed text.
        color: Whether to write ANSI codes; without them the marks are ``[-deleted-]`` and
            ``{+inserted+}``. ``"auto"``: where standard output is a terminal and ``NO_COLOR`` is
            not set.
    """
    if color == "auto":
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        color = sys.stdout.isatty() and not plain
    parts = []
    for segment in segments(before, after):
        text = "".join(map(_printable, segment.text))
        if segment.kind == "same":
            parts.append(text)
        elif color:
            parts.append(f"{_ANSI[segment.kind]}{text}\x1b[0m")
        else:
            parts.append(text.join(_PLAIN[segment.kind]))
    return "".join(parts)


def in_html(before: str, after: str) -> str:
    """Both texts in one, with ``<del>`` and ``<ins>``; markup in the texts is shown, not run."""
    parts = []
    for segment in segments(before, after):
        text = escape(segment.text)
        tag = _TAGS.get(segment.kind)
        parts.append(f"<{tag}>{text}</{tag}>" if tag else text)
    return "".join(parts)


def escape(text: str) -> str:
    """``text`` for HTML in any encoding: markup and all that is not ASCII as references."""
    shown = "".join(map(_printable, text))
    return html.escape(shown).encode("ascii", "xmlcharrefreplace").decode("ascii")


def _printable(character: str) -> str:
    """Control characters as their code: a text must not command the terminal it is shown on."""
    code = ord(character)
    control = code < 32 or 127 <= code < 160 or 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069
    lone = 0xD800 <= code < 0xE000
    if (control and character not in "\n\t") or lone:
        return character.encode("unicode_escape").decode("ascii")
    return character


def _add(out: list[Segment], before: str, after: str) -> None:
    if before == after:
        _append(out, "same", before)
    else:
        _append(out, "deleted", before)
        _append(out, "inserted", after)


def _append(out: list[Segment], kind: Kind, text: str) -> None:
    if not text:
        return
    if out and out[-1].kind == kind:
        out[-1] = Segment(kind, out[-1].text + text)
    else:
        out.append(Segment(kind, text))


def _matches(before: str, after: str) -> Iterator[_Match]:
    b, a = word_spans(before), word_spans(after)
    words = [before[slice(*span)] for span in b]
    others = [after[slice(*span)] for span in a]
    if _between(before, b) == _between(after, a):
        for i, (word, other) in enumerate(zip(words, others, strict=True)):
            yield _Match(i, b[i], a[i], word == other)
        return
    for tag, i0, i1, j0, j1 in SequenceMatcher(None, words, others, autojunk=False).get_opcodes():
        if tag == "equal":
            for i, j in zip(range(i0, i1), range(j0, j1), strict=True):
                yield _Match(i, b[i], a[j], True)
        elif tag == "insert":
            yield _inserted(b, a, i0, j0, j1)
        else:
            yield from _paired(words[i0:i1], others[j0:j1], b, a, i0, j0)


def _between(text: str, spans: Sequence[tuple[int, int]]) -> list[str]:
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    return [text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _inserted(
    b: Sequence[tuple[int, int]], a: Sequence[tuple[int, int]], i: int, j0: int, j1: int
) -> _Match:
    place = b[i - 1][1] if i else 0
    return _Match(i, (place, place), (a[j0][0], a[j1 - 1][1]), False)


def _paired(
    words: Sequence[str],
    others: Sequence[str],
    b: Sequence[tuple[int, int]],
    a: Sequence[tuple[int, int]],
    i0: int,
    j0: int,
) -> Iterator[_Match]:
    """Give each word none, one or several of ``others``, all of them and in order."""
    end = a[j0 - 1][1] if j0 else 0
    j = 0
    for i, count in enumerate(_counts(words, others)):
        span = (a[j0 + j][0], a[j0 + j + count - 1][1]) if count else (end, end)
        yield _Match(i0 + i, b[i0 + i], span, words[i : i + 1] == others[j : j + count])
        end = span[1]
        j += count


def _counts(words: Sequence[str], others: Sequence[str]) -> list[int]:
    """How many of ``others`` each word became, at the least cost."""
    n, m = len(words), len(others)
    if n * m > _MOST_COMPARED or m > _MOST_PARTS * n:
        # One for one as far as it goes; the last word takes what is left over.
        counts = [1 if i < m else 0 for i in range(n)]
        counts[-1] += max(0, m - n)
        return counts
    infinite = float("inf")
    cost = [[infinite] * (m + 1) for _ in range(n + 1)]
    taken = [[0] * (m + 1) for _ in range(n + 1)]
    cost[0][0] = 0.0
    for i, word in enumerate(words):
        for j in range(m + 1):
            if cost[i][j] == infinite:
                continue
            for count in range(min(_MOST_PARTS, m - j) + 1):
                price = cost[i][j] + _unlike(word, "".join(others[j : j + count]))
                price += _ODD_COUNT * abs(count - 1)
                if price < cost[i + 1][j + count]:
                    cost[i + 1][j + count] = price
                    taken[i + 1][j + count] = count
    counts = []
    j = m
    for i in range(n, 0, -1):
        counts.append(taken[i][j])
        j -= taken[i][j]
    return counts[::-1]


def _unlike(word: str, other: str) -> float:
    if not other:
        return 1.0
    return 1 - SequenceMatcher(None, word.lower(), other.lower(), autojunk=False).ratio()
