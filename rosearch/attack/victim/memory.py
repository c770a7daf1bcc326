"""What a victim remembers, bounded by bytes."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Hashable, Iterable
from hashlib import blake2b
from typing import Generic, TypeVar

from rosearch.tokens import TokenizedText

K = TypeVar("K")
V = TypeVar("V")

MAX_BYTES = 64 << 20
"""Bytes of one memory; a victim has three: answers by text and by key, and tokens of chunks."""

_ENTRY = 100
"""Bytes of a dictionary's entry besides its key and value, spare room included."""


class BoundedMemory(Generic[K, V]):
    """A dictionary that forgets its older half when it takes too many bytes.

    Args:
        size: Bytes of a key and its value.
        limit: Bytes above which :meth:`make_room` forgets. Default: :data:`MAX_BYTES`.
    """

    def __init__(self, size: Callable[[K, V], int], limit: int | None = None) -> None:
        self.entries: dict[K, V] = {}
        self.bytes = 0
        """Estimated bytes of all entries."""
        self.limit = MAX_BYTES if limit is None else limit
        self._size = size

    def make_room(self) -> None:
        """Forget the oldest entries, down to half of the limit, if it is exceeded."""
        if self.bytes <= self.limit:
            return
        for key in list(self.entries):
            self.bytes -= _ENTRY + self._size(key, self.entries.pop(key))
            if 2 * self.bytes <= self.limit:
                break

    def add(self, entries: Iterable[tuple[K, V]]) -> None:
        """Remember entries with new keys."""
        for key, value in entries:
            self.entries[key] = value
            self.bytes += _ENTRY + self._size(key, value)


def digest(key: Hashable) -> Hashable:
    """A short key that equal keys share: 16 bytes for texts, pairs and rows of tokens.

    A text of 400 words takes 2.4 kB, and its tokens 4 kB; an attack asks for thousands of variants.
    Other keys stay as they are.
    """
    if isinstance(key, str):
        return _hashed(key.encode("utf-8", "surrogatepass"), b"text")
    if isinstance(key, TokenizedText):
        types = () if key.types is None else (1, *key.types)
        return _hashed(array("q", (len(key.ids), *key.ids, *types)), b"tokens")
    if isinstance(key, tuple) and all(isinstance(part, str) for part in key):
        coded = [part.encode("utf-8", "surrogatepass") for part in key]
        return _hashed(b"".join([repr([*map(len, coded)]).encode(), *coded]), b"texts")
    return key


def size_of(*values: object) -> int:
    """Bytes of values, and of what tuples among them hold."""
    size = 0
    for value in values:
        size += sys.getsizeof(value)
        if isinstance(value, tuple):
            size += size_of(*value)
    return size


def _hashed(content: bytes | array[int], kind: bytes) -> bytes:
    return blake2b(content, digest_size=16, person=kind).digest()
