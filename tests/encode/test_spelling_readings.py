"""What a part of a text may be read as, whatever stands beside it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from rosearch.data import TextDataset
from rosearch.encode import Chain, Spelling, encodings
from rosearch.encode.testing import Synonyms

# Words one edit apart, and words that two others make, so that neighbours decide and join.
KNOWN = "bad bat bag band cast coast cost film firm dull bull pull won der wonder some what"
UNKNOWN = "bac baq cust filn rull wonder`s so me wh at bann. bac, film` bac` cust`"
TRAIN = TextDataset(
    [" ".join(words) for words in itertools.permutations(KNOWN.split(), 2)],
    [k % 2 for k in range(len(KNOWN.split()) * (len(KNOWN.split()) - 1))],
    classes=("a", "b"),
)


@pytest.fixture(scope="module")
def spelling() -> Spelling:
    return Spelling.fit(TRAIN, exchanges=Synonyms())


@pytest.mark.parametrize("is_chain", [False, True], ids=["spelling", "and word classes"])
def test_the_reading_in_a_text_is_among_those_of_the_part(
    spelling: Spelling, is_chain: bool
) -> None:
    encoding: Any = spelling
    if is_chain:
        train = TRAIN.with_texts(spelling(TRAIN.texts))
        classes = encodings.get("word_classes").fit(train, exchanges=Synonyms(), strength=1.0)
        encoding = Chain([spelling, classes])
    rng = np.random.default_rng(0)
    seen: dict[str, set[str]] = {}
    for _ in range(3000):
        parts = [f" {word}" for word in rng.choice([*KNOWN.split(), *UNKNOWN.split()], size=5)]
        if any(map(encoding.may_join, parts, parts[1:])):
            continue
        readings = [encoding.readings(part) for part in parts]
        known = [found for found in readings if found is not None]
        if len(known) < len(parts):
            continue
        encoded = encoding("".join(parts))
        assert encoded in {"".join(forms) for forms in itertools.product(*known)}, parts
        for part, found, place in zip(parts, known, range(5), strict=True):
            if len(found) > 1:
                others = len(encoded.split()) == 5
                seen.setdefault(part, set()).update([encoded.split()[place]] if others else [])
    several = [part for part, forms in seen.items() if len(forms) > 1]
    assert len(several) >= 3  # the words beside them did decide


def test_parts_that_are_read_as_one_word(spelling: Spelling) -> None:
    assert spelling.may_join(" som", "e")
    assert not spelling.may_join(" bad", " film")
    cut = Spelling.fit(TextDataset(["wonderful film", "dull film"] * 5, [0, 1] * 5))
    assert cut.may_join("a won", " derful film")
    assert not cut.may_join("a wonderful", " film")
    assert cut.readings(" won derful") == (" wonderful",)


def test_too_many_readings(spelling: Spelling) -> None:
    typo = next(word for word in UNKNOWN.split() if len(spelling.readings(word) or ()) > 1)
    assert spelling.readings("\n".join([typo] * 40)) is None
