"""Canonical texts with an edit are the canonical forms of the changed texts."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosearch.encode import Chain, Encoding, Spelling
from rosearch.encode.changes import canonical_edits
from tests.encode.table import table
from tests.encode.test_spelling import SPELLING, TRAIN

KINDS: dict[str, Callable[[], Encoding]] = {
    "words alone": lambda: Spelling.fit(TRAIN, joins=False, neighbours=False),
    "words read together": lambda: SPELLING,
    "in a chain": lambda: Chain([SPELLING, table(good="great", film="movie theatre")]),
    "of unknown reach": lambda: table(good_film="bad film", a_good="", film="movie theatre"),
}
TEXT = st.lists(
    st.sampled_from(
        "a good terrible film flim in side ter rible wonder-ful , . ' - it's it may be story "
        "goo d gooood wel made (acting) http://x.y 3d caf\u00e9 \u4e2d\u6587".split()
    ),
    min_size=1,
    max_size=12,
).flatmap(lambda words: st.sampled_from([" ", "", "  ", "\n"]).map(lambda gap: gap.join(words)))
NEW = st.sampled_from(["", " ", "o", "in", "terible", "wonder", "a b", "x-y", "'", "\u00e9", "!"])


@pytest.mark.parametrize("kind", KINDS)
@given(text=TEXT, new=NEW, data=st.data())
def test_edits_are_those_of_whole_texts(
    kind: str, text: str, new: str, data: st.DataObject
) -> None:
    encoding = KINDS[kind]()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 6)))
    ((a, b, found),) = canonical_edits(encoding, text, [(start, end, new)])
    canonical = encoding(text)
    assert canonical[:a] + found + canonical[b:] == encoding(text[:start] + new + text[end:])


def test_words_far_from_an_edit_are_not_read_again() -> None:
    text = " ".join(["a terrible film with wonderful acting"] * 20)
    read: list[int] = []
    segments = Spelling.segments

    def counting(self: Spelling, text: str) -> list[tuple[int, int]]:
        read.append(len(text))
        return segments(self, text)

    place = text.index("film", 300)
    with patch.object(Spelling, "segments", counting):
        canonical_edits(SPELLING, text, [(place, place + 4, "flim")] * 10)
    assert sum(size == len(text) for size in read) == 1  # for its segments
    assert max(size for size in read if size != len(text)) < 60
