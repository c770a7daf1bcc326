"""Known words that are read as others: as one edit of every rival says."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rosearch.encode.spelling_channel import Channel, best
from rosearch.encode.spelling_merges import merged_words
from rosearch.encode.spelling_words import is_target


def reference(counts: Mapping[str, float], rate: float, kept: set[str]) -> dict[str, str]:
    """The same by asking the channel about every word that is no typo itself."""
    words = {word: count for word, count in counts.items() if is_target(word)}
    merged: dict[str, str] = {}
    stable: dict[str, float] = {}
    channel = Channel(words)
    for word in sorted(words, key=lambda word: (-words[word], word)):
        alone = len(word) <= 2 or word in kept
        found = {} if alone else Channel(stable).one_edit(word)
        rival = best(found)
        if rival and rate * found[rival] > (1 - rate) * channel.count(word):
            merged[word] = rival
        else:
            stable[word] = words[word]
    return merged


_COUNTS = st.dictionaries(
    st.text("ab", min_size=1, max_size=6),
    st.sampled_from([0, 0.1, 1, 30, 900, 40_000]),
    max_size=40,
)


@settings(max_examples=200)
@given(_COUNTS, st.sampled_from([0.03, 0.5, 0.9]), st.sets(st.text("ab", max_size=5), max_size=3))
def test_the_channel_decides(counts: dict[str, float], rate: float, kept: set[str]) -> None:
    assert merged_words(counts, rate, kept=kept) == reference(counts, rate, kept)


@pytest.mark.parametrize("typo", ["fil", "fillm", "fjlm", "flim"])
def test_a_rare_word_one_edit_from_a_frequent_one_is_read_as_that(typo: str) -> None:
    counts = {"film": 5000.0, typo: 1.0}
    assert merged_words(counts, 0.5, kept=set()) == {typo: "film"}
    assert merged_words(counts, 0.5, kept={typo}) == {}
    assert merged_words(counts, 0.0, kept=set()) == {}
