"""WordNet's exchanges, and the base class of encodings that merge words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rosearch.data import Text, TextDataset
from rosearch.encode import Evidence, WordNetExchanges
from rosearch.encode.exchanges import MergedWords, neighbours
from rosearch.errors import MissingResourceError
from rosearch.stop_words import STOP_WORDS
from rosearch.wordnet import WordNet
from tests.encode.exchanged import Table
from tests.encode.samples import DATA


def test_wordnet_counts_the_occurrences_of_each_word(wordnet_folder: Path) -> None:
    texts: list[Text] = ["The film is a Film.", ("a good film", "Many MOVIES have it")]
    wordnet = WordNet(wordnet_folder)
    found = WordNetExchanges(wordnet_folder).count(texts)
    assert found["film", "movie"] == 3
    assert found["movies", "film"] == 1
    assert ("movie", "film") not in found  # not a word of the texts
    for word, other in found:
        assert word != other == other.lower()
        assert not {word, other} & STOP_WORDS
        assert other in map(str.lower, wordnet.synonyms(word))


def test_settings_identify_the_edition_of_wordnet(wordnet_folder: Path) -> None:
    settings = WordNetExchanges(wordnet_folder).settings
    assert settings == {"name": "wordnet", "wordnet": WordNet(wordnet_folder).digest}


def test_a_folder_without_wordnet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingResourceError, match=r"index\.noun"):
        WordNetExchanges(tmp_path)


class First(MergedWords):
    """Reads all words that may be exchanged as the first of them."""

    @classmethod
    def representatives(
        cls,
        evidence: Evidence,
        settings: Mapping[str, Any],
        exchanges: Mapping[tuple[str, str], float],
    ) -> Mapping[str, str]:
        words = sorted({word for pair in exchanges for word in pair})
        return dict.fromkeys(words, words[0])


def test_words_of_a_class_lose_their_capitals_and_others_stay_as_they_are() -> None:
    encoding = First.fit(DATA, exchanges=Table(film="movie"))
    assert encoding("A Good MOVIE, a Movie, a Film") == "A Good film, a film, a film"


def test_words_that_represent_only_themselves_are_not_stored() -> None:
    encoding = First.fit(DATA, exchanges=Table(film="movie pic"))
    assert encoding.learnt == {"representatives": {"film": "film", "movie": "film", "pic": "film"}}


def test_replacements_that_are_not_one_word_are_left_out() -> None:
    encoding = First.fit(DATA, exchanges=Table(film="mo.vie movie- -film two+words film zzz"))
    assert encoding.learnt == {"representatives": {"film": "film", "zzz": "film"}}


def test_wordnet_is_the_default(wordnet_folder: Path) -> None:
    train = TextDataset(["a film", "a plot"], [0, 1])
    assert "movie" in First.fit(train).learnt["representatives"]


def test_without_exchanges_nothing_is_merged() -> None:
    encoding = First.fit(DATA, exchanges=Table())
    assert encoding.learnt == {"representatives": {}}
    assert encoding(DATA.texts) == DATA.texts


def test_neighbours_are_sorted_by_how_often_they_are_exchanged() -> None:
    counts = {("a", "b"): 2.0, ("b", "a"): 3.0, ("a", "c"): 4.0, ("d", "a"): 4.0}
    assert neighbours(counts) == {"a": ["b", "c", "d"], "b": ["a"], "c": ["a"], "d": ["a"]}
