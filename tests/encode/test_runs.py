"""Texts are read run by run, as if they were read whole."""

from __future__ import annotations

import pickle
import random

import pytest

from rosearch.data import TextDataset
from rosearch.encode import Encoding, Spelling
from rosearch.encode.runs import Apart, read_runs
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


def test_words_that_are_one_with_the_next_but_one() -> None:
    texts = [*TRAIN.texts, "to tote tot", "some thing somethings tot"]
    spelling = Spelling.fit(TextDataset(texts, [*TRAIN.labels, 0, 1]), dictionary="none")
    for text in ("she had to t e it", "to t e", "a to t e"):
        text = f"{text} {20 * 'a good film '}"
        assert spelling(text) == spelling.of_segments(text, spelling.segments(text))
    assert not spelling.reads_apart("t", "e", "it")


def test_an_attack_reads_what_it_changed() -> None:
    sentence = " ".join(f"word{number}" for number in range(400))
    read: list[str] = []

    def reading(text: str) -> str:
        read.append(text)
        return text.upper()

    known: Apart = {}
    for number in range(400):
        text = sentence.replace(f"word{number} ", "other ")
        found = read_runs(text, known, lambda *_: True, reading)
        assert found == text.upper()
    assert len(read) < 4 * 400


def test_what_is_not_read_apart_is_read_together() -> None:
    def apart(left: str, run: str, right: str) -> bool:
        return "*" not in left + run + right

    read: list[str] = []

    def reading(text: str) -> str:
        read.append(text)
        return text.upper()

    for text in ("a b* c  d e", " a* ", "a*", "", "  ", "a\tb c\n\nd e* f g h "):
        assert read_runs(text, {}, apart, reading) == text.upper()
    assert "a b* c" in read
    assert "d e* f" in read


def test_memory_is_not_pickled(spelling: Encoding) -> None:
    spelling(4 * str(TRAIN.texts[0]))
    copy = pickle.loads(pickle.dumps(spelling))
    assert copy._known_runs == {}
    assert spelling._known_runs
