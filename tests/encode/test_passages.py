"""Long texts are read passage by passage, as if they were read whole."""

from __future__ import annotations

import pickle
import random

import pytest

from rosearch.encode import Encoding, Spelling
from rosearch.encode.passages import read_passages
from rosearch.encode.testing import TEXTS, TRAIN

SIGNS = "abcdefghiopt .,!?\n-'$|\u200b"


@pytest.fixture(scope="module")
def spelling() -> Encoding:
    return Spelling.fit(TRAIN, dictionary="none", neighbours=True, joins=True)


def changed(text: str, rng: random.Random) -> str:
    signs = list(text)
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(signs))
        kind = rng.randrange(3)
        signs[place : place + (kind != 0)] = [] if kind == 2 else [rng.choice(SIGNS)]
    return "".join(signs)


def test_equals_the_whole(spelling: Encoding) -> None:
    rng = random.Random(0)
    whole = different = 0
    for _ in range(400):
        text = " ".join(rng.choices(TEXTS[:12], k=8))
        for _ in range(3):
            text = changed(text, rng)
            canonical = spelling.of_segments(text, spelling.segments(text))
            assert spelling(text) == canonical
            different += canonical != text
            whole += 1
    assert different > 0.9 * whole


def test_words_on_both_sides_of_a_sign_that_decides_nothing_are_one_passage(
    spelling: Encoding,
) -> None:
    # A sign that is part of a word, or inside of one that it cuts.
    assert spelling.closes("a good film. ")
    assert spelling.closes("a good film,\n")
    assert spelling.closes("... ")
    assert not spelling.closes("a good film, ")
    assert not spelling.closes("a good film ")


def test_an_attack_reads_what_it_changed() -> None:
    sentences = [f"Sentence number {number} has some words. " for number in range(40)]
    read: list[str] = []

    def reading(text: str) -> str:
        read.append(text)
        return text.upper()

    known: dict[str, str | None] = {}
    for number in range(40):
        new = [*sentences]
        new[number] = "Another one. "
        text = "".join(new)
        assert read_passages(text, known, reading, lambda passage: True) == text.upper()
    assert sum(map(len, read)) < 3 * len("".join(sentences))


def test_passages_that_go_on_are_read_together() -> None:
    text = "One. Two. " * 400
    known: dict[str, str | None] = {}
    found = read_passages(text, known, str.upper, lambda passage: passage.endswith("Two. "))
    assert found == text.upper()
    # Where none closes, all is read at once, and memory stays small.
    open_known: dict[str, str | None] = {}
    assert read_passages(text, open_known, str.upper, lambda passage: False) == text.upper()
    assert max(map(len, open_known)) < 4096


def test_memory_is_not_pickled(spelling: Encoding) -> None:
    spelling(" ".join(TRAIN.texts[:8]))  # type: ignore[arg-type]
    copy = pickle.loads(pickle.dumps(spelling))
    assert copy._passages == {}
    assert spelling._passages
