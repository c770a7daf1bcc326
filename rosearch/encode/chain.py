"""Several encodings, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from rosearch.checks import refused
from rosearch.encode.base import EncodedText, Encoding
from rosearch.errors import ArgumentError, DataError
from rosearch.words import word_spans


class Chain(Encoding):
    """Encodings applied in turn: each reads what the one before it has made of a segment.

    Segments are those of the first encoding. Chains inside a chain are flattened.

    Args:
        encodings: The encodings, in order.

    Raises:
        ArgumentError: There is no encoding, or one is no :class:`Encoding`.
    """

    def __init__(self, encodings: Sequence[Encoding]) -> None:
        super().__init__()
        flat: list[Encoding] = []
        for encoding in encodings:
            if not isinstance(encoding, Encoding):
                raise refused("each of encodings", "an Encoding", encoding)
            flat += encoding.encodings if isinstance(encoding, Chain) else [encoding]
        if not flat:
            raise refused("encodings", "one or more encodings", encodings)
        self.encodings: tuple[Encoding, ...] = tuple(flat)
        """The encodings, in order."""

    def segments(self, text: str) -> list[tuple[int, int]]:
        """Return the segments of the first encoding."""
        return self.encodings[0].segments(text)

    def word(self, word: str) -> str:
        """Return what the last encoding makes of the segment."""
        first, *others = self.encodings
        canonical = first.canonical_word(word)
        for encoding in others:
            canonical = encoding(canonical)
        return canonical

    @property
    def reads_words_alone(self) -> bool:
        """Whether the first encoding does, whose segments the others read one by one."""
        return self.encodings[0].reads_words_alone

    @property
    def reach(self) -> int | None:
        """That of the first encoding."""
        return self.encodings[0].reach

    def readings(self, part: str) -> tuple[str, ...] | None:
        """Return everything that a part of a text may be read as, whatever stands beside it."""
        first, *others = self.encodings
        found = first.readings(part)
        if found is None or not all(encoding.reads_words_alone for encoding in others):
            return None
        if len(found) == 1:
            return (self(part),)
        segments = first.segments(part)
        words = word_spans(part)
        if not all(any(a <= x and y <= b for a, b in segments) for x, y in words):
            return None  # the others do not read the words outside of segments
        for encoding in others:
            found = tuple(map(encoding, found))
        return tuple(dict.fromkeys(found))

    def may_join(self, left: str, right: str) -> bool:
        """Return whether the first encoding may read words of two parts as one."""
        return self.encodings[0].may_join(left, right)

    def reads_apart(self, left: str, run: str, right: str) -> bool:
        """Return whether the first encoding reads a run as by itself."""
        return self.encodings[0].reads_apart(left, run, right)

    def edits(self, segment: str) -> list[tuple[int, int, int, int]]:
        """Return where a segment and its canonical form differ."""
        found = self.encodings[0].encode(segment)
        for encoding in self.encodings[1:]:
            found = _composed(found, encoding.encode(found.text))
        return list(found.edits)

    @classmethod
    def fit(cls, *_: Any, **__: Any) -> NoReturn:
        """Not for chains: fit each of the encodings.

        Raises:
            ArgumentError: Always.
        """
        raise ArgumentError(
            "A chain is not fitted. Fit each of its encodings, each to the texts "
            "as those before it have encoded them."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the parts as JSON values."""
        return {"chain": [encoding.to_dict() for encoding in self.encodings]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Chain:
        """Not for chains: use :func:`rosearch.encode.from_dict`, which knows all encodings."""
        raise DataError("A chain is loaded by rosearch.encode.from_dict.")

    def __repr__(self) -> str:
        return f"Chain([{', '.join(map(repr, self.encodings))}])"


def _composed(first: EncodedText, second: EncodedText) -> EncodedText:
    """Two encodings of a text as one, from the original of the first to the text of the second."""
    edits: list[tuple[int, int, int, int]] = []
    waiting = list(first.edits)
    shift = 0  # from the text of the first to that of the second
    for start, end, new_start, new_end in second.edits:
        while waiting and waiting[0][3] <= start:
            a, b, middle_a, middle_b = waiting.pop(0)
            edits.append((a, b, middle_a + shift, middle_b + shift))
        inside = [edit for edit in waiting if edit[2] < end]
        waiting = waiting[len(inside) :]
        low = min([start, *(edit[2] for edit in inside)])
        high = max([end, *(edit[3] for edit in inside)])
        a, b = first.origin(low, high)
        edits.append((a, b, new_start - (start - low), new_end + high - end))
        shift = new_end - end
    edits += [(a, b, c + shift, d + shift) for a, b, c, d in waiting]
    return EncodedText(first.original, second.text, tuple(_merged(edits)))


def _merged(edits: Sequence[tuple[int, int, int, int]]) -> Iterator[tuple[int, int, int, int]]:
    """Edits of which some overlap, as edits that do not."""
    last: tuple[int, int, int, int] | None = None
    for edit in edits:
        if last and edit[0] < last[1]:
            last = last[0], max(last[1], edit[1]), last[2], max(last[3], edit[3])
            continue
        if last:
            yield last
        last = edit
    if last:
        yield last


def joined(encodings: Sequence[Encoding]) -> Encoding | None:
    """Return encodings as one: a chain, the only one, or ``None`` where there is none."""
    if len(encodings) < 2:
        return next(iter(encodings), None)
    return Chain(encodings)
