"""Encoding of texts word by word, what encodings learn from, and the way back to the original."""

from __future__ import annotations

import pickle
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rosearch as rs
from rosearch.data import TextDataset
from rosearch.encode import EncodedText, Encoding, Evidence, encodings, word_counts
from rosearch.encode.testing import Synonyms, character_origins
from rosearch.errors import ArgumentError, GenomeError, RegistryError
from tests.encode.samples import DATA, Halves, Known, Lower, registered


@st.composite
def encoded_texts(draw: st.DrawFn) -> EncodedText:
    """Texts of which any parts were replaced, also by nothing and side by side."""
    original = new = ""
    edits = []
    for kept, old, replacement in draw(
        st.lists(
            st.tuples(st.text("abc", max_size=3), st.text("xyz", min_size=1), st.text("XYZ")),
            max_size=6,
        )
    ):
        original, new = original + kept, new + kept
        edits.append(
            (len(original), len(original) + len(old), len(new), len(new) + len(replacement))
        )
        original, new = original + old, new + replacement
    rest = draw(st.text("abc", max_size=3))
    return EncodedText(original + rest, new + rest, tuple(edits))


class TestOrigin:
    @given(encoded_texts())
    def test_equals_that_of_each_character(self, encoded: EncodedText) -> None:
        origins = list(character_origins(encoded))
        assert len(origins) == len(encoded.text)
        for start in range(len(origins)):
            for end in range(start + 1, len(origins) + 1):
                expected = origins[start][0], origins[end - 1][1]
                assert encoded.origin(start, end) == expected

    @given(encoded_texts())
    def test_of_nothing_is_nothing_inside_the_text(self, encoded: EncodedText) -> None:
        for place in range(len(encoded.text) + 1):
            start, end = encoded.origin(place, place)
            assert 0 <= start == end <= len(encoded.original)

    def test_of_kept_and_replaced_words(self) -> None:
        encoded = Halves().encode("a film, a plot.")
        assert encoded.text == "a moving picture, a ."
        assert encoded.edits == ((2, 6, 2, 16), (10, 14, 20, 20))
        assert encoded.origin(0, 1) == (0, 1)
        assert encoded.origin(9, 16) == (2, 6)
        assert encoded.origin(20, 21) == (14, 15)
        assert encoded.origin(0, 21) == (0, 15)


class TestTexts:
    def test_words_are_replaced_and_separators_stay(self) -> None:
        assert Halves()("-- a  film;\n(film) plots") == (
            "-- a  moving picture;\n(moving picture) plots"
        )

    def test_pairs_and_sequences_keep_their_kind(self) -> None:
        lower = Lower()
        assert lower(("A", "B")) == ("a", "b")
        assert lower(["A", "B"]) == ["a", "b"]
        assert lower([("A", "B"), ("C", "D")]) == [("a", "b"), ("c", "d")]
        assert lower((("A", "B"), ("C", "D"), ("E", "F"))) == (("a", "b"), ("c", "d"), ("e", "f"))
        assert lower(("A", "B", "C")) == ("a", "b", "c")
        assert lower([]) == []

    def test_segments_may_have_several_words(self) -> None:
        class Joined(Encoding):
            def segments(self, text: str) -> list[tuple[int, int]]:
                return [(0, len(text))] if text == "New York" else super().segments(text)

            def word(self, word: str) -> str:
                return word.replace(" ", "_")

        assert Joined()("New York") == Joined().encode("New York").text == "New_York"
        assert Joined()("a New York") == "a New York"

    def test_edits_of_a_segment_may_be_finer_than_it(self) -> None:
        class Pairs(Lower):
            def segments(self, text: str) -> list[tuple[int, int]]:
                return [(0, len(text))] if text else []

        class Finer(Pairs):
            def edits(self, segment: str) -> list[tuple[int, int, int, int]]:
                return [(0, 1, 0, 1), (8, 12, 8, 12)]

        assert Pairs().encode("A (good FILM)").edits == ((0, 13, 0, 13),)
        assert Finer().encode("A (good FILM)").edits == ((0, 1, 0, 1), (8, 12, 8, 12))

    def test_an_encoding_that_learns_must_be_fitted(self) -> None:
        unfitted = rs.encodings.get("spelling")(typo_rate=0.3)
        for use in (unfitted, unfitted.encode):
            with pytest.raises(ArgumentError, match=r"not fitted. Call its method fit"):
                use("good")
        assert Lower()("Good") == "good"

    def test_each_word_is_encoded_once(self) -> None:
        calls: Counter[str] = Counter()

        class Counting(Encoding):
            def word(self, word: str) -> str:
                calls[word] += 1
                return word

        encoding = Counting()
        encoding(["a b a", "b"])
        encoding.encode("a b")
        assert calls == {"a": 1, "b": 1}

    def test_memory_of_words_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("rosearch.encode.remembered._MAX_REMEMBERED", 3)
        text = " ".join("ABCDEFGHIJ" * 2)
        assert Lower()(text) == text.lower()


class TestFit:
    def test_learns_from_training_texts(self) -> None:
        encoding = Known.fit(DATA, minimum=2)
        assert encoding.settings == {"minimum": 2}
        assert encoding("a good plot") == "a good unknown"

    def test_defaults_are_filled_in(self) -> None:
        assert Known.fit(DATA).settings == {"minimum": 1}
        assert Lower.fit(DATA).learnt == {}

    def test_evidence_in_one_or_in_parts(self) -> None:
        seen: list[Evidence] = []

        class Seeing(Encoding):
            @classmethod
            def learn(cls, evidence: Evidence, settings: Any) -> dict[str, Any]:
                seen.append(evidence)
                return {}

            def word(self, word: str) -> str:
                return word

        answers, exchanges = np.ones((3, 2)) / 2, Synonyms()
        Seeing.fit(DATA, answers=answers, exchanges=exchanges)
        Seeing.fit(Evidence(DATA, answers=answers, exchanges=exchanges))
        for evidence in seen:
            assert evidence.train is DATA
            assert evidence.answers is answers
            assert evidence.exchanges is exchanges

    def test_an_instance_is_fitted_with_its_settings(self) -> None:
        spelling = rs.encodings.get("spelling")(typo_rate=0.3, case="keep").fit(DATA)
        assert (spelling.settings["typo_rate"], spelling.settings["case"]) == (0.3, "keep")
        again = pickle.loads(pickle.dumps(spelling)).fit(DATA, case="lower")
        assert (again.settings["typo_rate"], again.settings["case"]) == (0.3, "lower")
        assert spelling.settings["case"] == "keep"

    def test_wrong_arguments_are_refused(self) -> None:
        with pytest.raises(GenomeError, match="'Known' has no parameter 'maximum'; known: minimum"):
            Known.fit(DATA, maximum=3)
        with pytest.raises(GenomeError, match=r"minimum of .* must be one of 1, 2, 5, got 3"):
            Known.fit(DATA, minimum=3)
        with pytest.raises(ArgumentError, match="train must be a TextDataset, got"):
            Known.fit(["a", "b"])  # type: ignore[arg-type]
        with pytest.raises(ArgumentError, match="answers must be part of the Evidence"):
            Known.fit(Evidence(DATA), answers=np.ones((3, 2)))


class TestEvidence:
    def test_counts_are_of_lower_case_words(self) -> None:
        assert word_counts(["A good, GOOD film", ("so", "a")]) == {
            "a": 2, "good": 2, "film": 1, "so": 1,
        }  # fmt: skip
        assert Evidence(DATA).counts == {"a": 3, "good": 2, "film": 2, "dull": 1, "plot": 1}

    def test_counted_words_are_those_of_the_text(self) -> None:
        # Lower case has a dot of its own, which is not part of a word.
        assert word_counts(["İstanbul"]) == {"İstanbul".lower(): 1}

    def test_targets_are_answers_or_labels(self) -> None:
        answers = np.array([[0.1, 0.9], [0.5, 0.5], [1.0, 0.0]], dtype=np.float32)
        np.testing.assert_array_equal(Evidence(DATA).targets, [[0, 1], [1, 0], [0, 1]])
        found = Evidence(DATA, answers=answers + 1e-6).targets
        np.testing.assert_array_equal(found, Evidence(DATA, answers=answers).targets)
        np.testing.assert_allclose(found, answers, atol=5e-4)

    @pytest.mark.parametrize("answers", [np.ones((2, 2)), np.ones(3), np.full((3, 2), -3.0)])
    def test_answers_that_are_no_probabilities_are_refused(self, answers: np.ndarray) -> None:
        with pytest.raises(ArgumentError, match=r"answers must be probabilities of shape \(3, 2\)"):
            Evidence(DATA, answers=answers)

    def test_encoded_evidence_keeps_the_rest(self) -> None:
        pairs = TextDataset([("A b", "C"), ("D", "E")], [0, 1])
        evidence = Evidence(pairs, answers=np.ones((2, 2)), exchanges=Synonyms())
        encoded = evidence.encoded(Lower())
        assert encoded.train.texts == (("a b", "c"), ("d", "e"))
        assert encoded.answers is evidence.answers
        assert encoded.exchanges is evidence.exchanges
        assert encoded.train.labels.tolist() == [0, 1]

    def test_settings_name_all_that_counts(self, tokenizer: Any) -> None:
        answers = np.ones((3, 2))
        several = [
            Evidence(DATA),
            Evidence(DATA.select([1, 0, 2])),
            Evidence(DATA, tokenizer=tokenizer),
            Evidence(DATA, answers=answers),
            Evidence(DATA, answers=answers / 2),
            Evidence(DATA, exchanges=Synonyms()),
        ]
        settings = [str(evidence.settings) for evidence in several]
        assert len(set(settings)) == len(several)
        assert str(Evidence(DATA.select(range(3))).settings) == settings[0]


class TestIdentity:
    def test_equal_encodings_have_equal_fingerprints(self) -> None:
        one, same = Known.fit(DATA), Known.fit(DATA)
        assert one == same
        assert hash(one) == hash(same)
        assert one.fingerprint == same.fingerprint

    def test_settings_learnt_and_class_tell_encodings_apart(self) -> None:
        several = [Known.fit(DATA), Known.fit(DATA, minimum=2), Known.fit(DATA[:1]), Lower()]
        assert len({encoding.fingerprint for encoding in several}) == 4
        assert len(set(several)) == 4
        assert Lower() != "Lower()"

    def test_lone_surrogates_can_be_learnt(self) -> None:
        encoding = Known.fit(TextDataset(["low \ud83d\u00e9", "b"], [0, 1]))
        assert len(encoding.fingerprint) == 32

    def test_pickles_are_small_and_equal(self) -> None:
        encoding = Known.fit(DATA)
        before = pickle.dumps(encoding)
        encoding([f"word{number}" for number in range(1000)])
        assert encoding.fingerprint
        assert len(pickle.dumps(encoding)) == len(before)
        assert pickle.loads(before) == encoding

    def test_what_is_shown(self) -> None:
        assert repr(Known.fit(DATA)) == "Known(minimum=1)"


def test_registered_by_name_and_encodings_only() -> None:
    assert rs.encodings is encodings
    with registered(known=Known):
        assert Known.registered_name() == "known"
        assert encodings.get("known").fit(DATA).to_dict() == {
            "name": "known",
            "version": 1,
            "settings": {"minimum": 1},
            "learnt": {"words": ["a", "dull", "film", "good", "plot"]},
        }
    assert "known" not in encodings.names()
    with pytest.raises(RegistryError, match=r"expected a subclass of rosearch\.Encoding"):
        encodings.register("number")(int)
