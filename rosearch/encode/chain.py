"""Several encodings, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rosearch.checks import refused
from rosearch.encode.base import Encoding
from rosearch.errors import DataError


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

    def to_dict(self) -> dict[str, Any]:
        """Return the parts as JSON values."""
        return {"chain": [encoding.to_dict() for encoding in self.encodings]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Chain:
        """Not for chains: use :func:`rosearch.encode.from_dict`, which knows all encodings."""
        raise DataError("A chain is loaded by rosearch.encode.from_dict.")

    def __repr__(self) -> str:
        return f"Chain([{', '.join(map(repr, self.encodings))}])"


def joined(encodings: Sequence[Encoding]) -> Encoding | None:
    """Return encodings as one: a chain, the only one, or ``None`` where there is none."""
    if len(encodings) < 2:
        return next(iter(encodings), None)
    return Chain(encodings)
