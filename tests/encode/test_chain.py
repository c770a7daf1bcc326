"""Encodings one after the other."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rosearch.data import TextDataset
from rosearch.encode import Chain, Encoding, Spelling, joined
from rosearch.errors import ArgumentError, DataError
from tests.encode.samples import DATA, Halves, Known, Lower


class Hyphens(Encoding):
    """Reads a word with hyphens as one segment, and a hyphen as a space."""

    def word(self, word: str) -> str:
        return word.replace("-", " ")


_SPELLING = Spelling.fit(
    TextDataset(["a good film", "the wood", "a terrible plot-x"] * 5, [0] * 14 + [1])
)


def test_each_reads_what_the_one_before_has_made() -> None:
    known = Known.fit(DATA)
    assert Chain([Lower(), known])("A GOOD novel") == "a good unknown"
    assert Chain([known, Lower()])("A GOOD film") == "unknown unknown film"


def test_words_made_of_one_are_encoded_each() -> None:
    assert Chain([Hyphens(), Halves()])("a film-plot-film!") == "a moving picture  moving picture!"


def test_edits_are_those_of_the_whole_chain() -> None:
    encoded = Chain([Hyphens(), Halves()]).encode("a film-x b")
    assert encoded.text == "a moving picture x b"
    assert encoded.edits == ((2, 8, 2, 18),)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from("a A xood good film flim plot-x te rrible , ' the".split()), max_size=9
    )
)
def test_edits_rebuild_the_text_and_keep_words_apart(words: list[str]) -> None:
    text = " ".join(words)
    chain = Chain([_SPELLING, Hyphens(), Halves()])
    encoded = chain.encode(text)
    assert encoded.text == chain(text)
    rebuilt, done = "", 0
    for start, end, new_start, new_end in encoded.edits:
        assert done <= start < end
        rebuilt += text[done:start]
        assert len(rebuilt) == new_start
        rebuilt += encoded.text[new_start:new_end]
        done = end
        assert len(text[start:end].split()) <= 2  # "te rrible" at most
    assert rebuilt + text[done:] == encoded.text


def test_a_chain_is_not_fitted() -> None:
    with pytest.raises(ArgumentError, match="Fit each of its encodings"):
        Chain([Lower()]).fit(DATA)


def test_segments_are_those_of_the_first() -> None:
    class Whole(Encoding):
        def segments(self, text: str) -> list[tuple[int, int]]:
            return [(0, len(text))] if text else []

        def word(self, word: str) -> str:
            return word.replace("a film", "film")

    assert Chain([Whole(), Halves()])("a film") == "moving picture"
    assert Chain([Halves(), Whole()])("a film") == "a moving picture"


def test_chains_in_chains_are_flattened() -> None:
    one, two, three = Lower(), Halves(), Hyphens()
    chain = Chain([Chain([one, two]), three])
    assert chain.encodings == (one, two, three)
    assert chain == Chain([one, Chain([two, three])])
    assert repr(chain) == "Chain([Lower(), Halves(), Hyphens()])"


def test_order_counts() -> None:
    one, two = Lower(), Halves()
    assert Chain([one, two]) != Chain([two, one])
    assert Chain([one, two]).fingerprint != Chain([two, one]).fingerprint


def test_pickle_restores_the_chain() -> None:
    chain = Chain([Lower(), Known.fit(DATA)])
    again = pickle.loads(pickle.dumps(chain))
    assert again == chain
    assert again("GOOD novel") == "good unknown"


def test_wrong_parts_are_refused() -> None:
    with pytest.raises(ArgumentError, match="encodings must be one or more encodings, got"):
        Chain([])
    with pytest.raises(ArgumentError, match="each of encodings must be an Encoding, got 'lower'"):
        Chain(["lower"])  # type: ignore[list-item]
    with pytest.raises(DataError, match=r"rosearch\.encode\.from_dict"):
        Chain.from_dict({})


def test_joined() -> None:
    one, two = Lower(), Halves()
    assert joined([]) is None
    assert joined([one]) is one
    assert joined([one, two]) == Chain([one, two])
