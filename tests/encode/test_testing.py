"""The conformance suite: registered encodings and chains pass it, and faulty ones fail."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from rosearch.data import TextDataset
from rosearch.encode import Chain, Encoding, Evidence, encodings
from rosearch.encode.spelling import Spelling
from rosearch.encode.testing import TRAIN, EncodingConformance, Synonyms
from tests.encode.samples import Known, Lower, registered


@pytest.mark.parametrize("name", encodings.names())
class TestRegistered(EncodingConformance):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.name = name  # type: ignore[misc]


@pytest.mark.parametrize(
    "name", [n for n in encodings.names() if encodings.get(n).level == "words"]
)
class TestRegisteredBehindSpelling(EncodingConformance):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.name = name  # type: ignore[misc]

    def fit(self, train: TextDataset, **settings: Any) -> Encoding:
        first = Spelling.fit(train)
        evidence = Evidence(train, exchanges=Synonyms()).encoded(first)
        return Chain([first, encodings.get(self.name).fit(evidence, **settings)])


@pytest.fixture
def _known() -> Iterator[None]:
    with registered(lower=Lower, known=Known):
        yield


@pytest.mark.usefixtures("_known")
class TestKnown(EncodingConformance):
    name = "known"

    def fit(self, train: TextDataset, **settings: Any) -> Encoding:
        encodings.register("known")(Known)  # in the suite's other process too
        return super().fit(train, **settings)


class TestChain(TestKnown):
    def fit(self, train: TextDataset, **settings: Any) -> Encoding:
        encodings.register("lower")(Lower)
        first = Lower.fit(train)
        return Chain([first, super().fit(Evidence(train).encoded(first).train, **settings)])


def fails(kind: type[Encoding], test: str) -> None:
    """Assert that a class fails a test of the suite that an encoding without faults passes."""
    with registered(known=Known, faulty=kind):
        for name in ("known", "faulty"):
            suite = EncodingConformance()
            suite.name = name  # type: ignore[misc]
            encoding = suite.fit(TRAIN)
            if name == "known":
                getattr(suite, test)(encoding)
            else:
                with pytest.raises((AssertionError, TypeError, ValueError)):
                    getattr(suite, test)(encoding)


def test_finds_a_word_that_is_not_its_own_canonical_form() -> None:
    class Growing(Encoding):
        def word(self, word: str) -> str:
            return word + "s"

    fails(Growing, "test_canonical_texts_are_their_own")


def test_finds_a_memory_of_earlier_words() -> None:
    class Remembering(Encoding):
        last = ""

        def word(self, word: str) -> str:
            self.last, before = word, self.last
            return before or word

    fails(Remembering, "test_texts_are_encoded_alone")


def test_finds_chance() -> None:
    class Rolling(Encoding):
        @classmethod
        def learn(cls, evidence: Evidence, settings: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"number": random.random()}

        def word(self, word: str) -> str:
            return word

    with registered(faulty=Rolling):
        suite = EncodingConformance()
        suite.name = "faulty"  # type: ignore[misc]
        with pytest.raises(AssertionError):
            suite.test_fitting_again_gives_the_same_in_any_process(suite.fit(TRAIN))


@pytest.mark.parametrize("learnt", [{"words": {"a"}}, {1: "a"}, {"pair": ("a", "b")}])
def test_finds_what_json_does_not_restore(learnt: dict[Any, Any]) -> None:
    class Odd(Encoding):
        @classmethod
        def learn(cls, evidence: Evidence, settings: Mapping[str, Any]) -> Mapping[str, Any]:
            return learnt

        def word(self, word: str) -> str:
            return word

    fails(Odd, "test_json_restores_the_encoding")


@pytest.mark.parametrize("spans", [[(1, 3), (0, 2)], [(0, 2), (1, 3)], [(0, 0)], [(0, 10_000)]])
def test_finds_wrong_segments(spans: list[tuple[int, int]]) -> None:
    class Torn(Encoding):
        def segments(self, text: str) -> list[tuple[int, int]]:
            return spans

        def word(self, word: str) -> str:
            return word

    fails(Torn, "test_segments_are_encoded_alone_and_the_rest_stays")


def test_finds_another_way_around_the_words() -> None:
    class Whole(Encoding):
        def __call__(self, texts: Any) -> Any:
            return super().__call__(texts) if isinstance(texts, list) else "whole"

        def word(self, word: str) -> str:
            return word

    fails(Whole, "test_edits_lead_from_text_to_canonical_text")


def test_finds_other_scripts_in_latin_letters() -> None:
    class Latin(Encoding):
        def word(self, word: str) -> str:
            return word.encode("ascii", "replace").decode()

    fails(Latin, "test_words_of_other_scripts_stay_in_them")


def test_synonyms_of_the_suite_occur_in_its_texts() -> None:
    counts = Synonyms().count(TRAIN.texts)
    assert counts["film", "movie"] == 3
    assert counts["good", "great"] == 3
    assert len(counts) == 2 + 6 + 6
