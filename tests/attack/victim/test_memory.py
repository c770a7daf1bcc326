"""What victims remember, and the keys it is remembered by."""

from __future__ import annotations

import itertools
import sys
from typing import NamedTuple

import pytest

from rosearch.attack.victim.memory import MAX_BYTES, BoundedMemory, digest, size_of
from rosearch.tokens import TokenizedText


def remembering(*lengths: int, limit: int) -> BoundedMemory[int, bytes]:
    memory: BoundedMemory[int, bytes] = BoundedMemory(lambda key, value: len(value), limit)
    memory.add((key, bytes(length)) for key, length in enumerate(lengths))
    return memory


def test_nothing_is_forgotten_up_to_the_limit() -> None:
    memory = remembering(100, 200, 300, limit=900)
    assert memory.bytes == 900
    memory.make_room()
    assert list(memory.entries) == [0, 1, 2]


def test_the_oldest_are_forgotten_down_to_half_of_the_limit() -> None:
    memory = remembering(100, 900, 100, 100, limit=1200)
    memory.make_room()
    assert list(memory.entries) == [2, 3]
    assert memory.bytes == 2 * (100 + 100)
    memory.add([(0, bytes(700))])
    assert memory.bytes == 1200
    memory.make_room()
    assert list(memory.entries) == [2, 3, 0]


def test_one_entry_larger_than_the_limit_is_kept_until_room_is_made() -> None:
    memory = remembering(5000, limit=1000)
    assert len(memory.entries[0]) == 5000
    memory.make_room()
    assert (memory.entries, memory.bytes) == ({}, 0)


def test_default_limit() -> None:
    assert BoundedMemory(size_of).limit == MAX_BYTES == 64 * 2**20


def test_estimated_bytes_are_those_of_the_objects() -> None:
    memory: BoundedMemory[bytes, tuple[int, ...]] = BoundedMemory(size_of)
    memory.add((k.to_bytes(16, "big"), tuple(range(1000 * k, 1000 * k + 9))) for k in range(5000))
    held = sys.getsizeof(memory.entries) + sum(
        sys.getsizeof(key) + sys.getsizeof(value) + sum(map(sys.getsizeof, value))
        for key, value in memory.entries.items()
    )
    assert held <= memory.bytes < 1.2 * held


def test_sizes_of_nested_tuples() -> None:
    ids = tuple(range(300, 400))
    assert size_of(ids) == sys.getsizeof(ids) + 100 * sys.getsizeof(300)
    assert size_of((ids, None), b"") == (
        sys.getsizeof((0, 0)) + size_of(ids) + sys.getsizeof(None) + sys.getsizeof(b"")
    )


DISTINCT = [
    "",
    "a",
    "ab",
    "a b",
    "\ud800",
    "\udfff",
    "?",
    "é",
    "e\u0301",
    "a\x00b",
    ("a",),
    ("", ""),
    ("a", ""),
    ("", "a"),
    ("a", "b"),
    ("ab", ""),
    ("a b", ""),
    ("a", "b", ""),
    ("é", "a"),
    ("\ud800", "b"),
    ("[True, 1, 1]", "ab"),
    "[False, 2]ab",
    (1, 2),
    ("a", 1),
    (),
    None,
    TokenizedText(()),
    TokenizedText((), ()),
    TokenizedText((1,)),
    TokenizedText((1, 2)),
    TokenizedText((1, 2, 0)),
    TokenizedText((258,)),
    TokenizedText((1, 2), (0, 0)),
    TokenizedText((1, 2), (0, 1)),
    TokenizedText((1, 2, 1), (0,)),
    TokenizedText((2, 1, 2, 1, 0)),
]


def test_different_keys_have_different_digests() -> None:
    for one, other in itertools.combinations(DISTINCT, 2):
        assert digest(one) != digest(other), (one, other)


@pytest.mark.parametrize("key", DISTINCT, ids=ascii)
def test_digests_are_short_and_those_of_equal_keys_equal(key: object) -> None:
    short = digest(key)
    assert digest(key) == short
    if isinstance(key, str | TokenizedText):
        assert isinstance(short, bytes)
        assert len(short) == 16


def test_subclasses_of_texts_and_pairs_have_the_digests_of_plain_ones() -> None:
    class Text(str):
        __slots__ = ()

    class Pair(NamedTuple):
        premise: str
        hypothesis: str

    assert digest(Text("a film")) == digest("a film")
    assert digest(Pair("a", "b")) == digest(("a", "b"))
    assert digest(TokenizedText(tuple(range(600)))) == digest(TokenizedText((*range(600),)))
