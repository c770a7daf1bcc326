"""Which words lexicons call near."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from rosearch import wordnet as wordnet_module
from rosearch.attack import WordVectors
from rosearch.errors import DataError, MissingResourceError
from rosearch.operators import Vocabulary
from rosearch.student import EmbeddingLexicon, RememberedLexicon, VectorLexicon, WordNetLexicon
from rosearch.student import lexicon as lexicon_module
from rosearch.wordnet import find_wordnet


@pytest.fixture(scope="module")
def wordnet() -> WordNetLexicon:
    try:
        return WordNetLexicon(find_wordnet())
    except MissingResourceError as error:
        pytest.skip(str(error))


def random_words(count: int, width: int = 8) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(count, width)).astype(np.float32) + 2.0
    return [f"word{k}" for k in range(count)], vectors


class TestVectors:
    @pytest.mark.parametrize("batch", [3, 7, 15, 100])
    def test_agrees_with_the_definition(self, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lexicon_module, "_BATCH", batch)
        words, vectors = random_words(30)
        found = VectorLexicon(words, vectors).neighbours(words, count=4)
        table = torch.from_numpy(vectors)
        table = table - table.mean(dim=0)
        for k, near in enumerate(found):
            cosines = cosine_similarity(table, table[k : k + 1])
            cosines[k] = -2
            order = [i for i in cosines.argsort(descending=True).tolist() if cosines[i] > 0][:4]
            assert [word for word, _ in near] == [words[i] for i in order]
            np.testing.assert_allclose([n for _, n in near], cosines[order], rtol=1e-5)

    def test_only_among_the_words_that_are_asked_for(self) -> None:
        words, vectors = random_words(20)
        lexicon = VectorLexicon(words, vectors)
        found = lexicon.neighbours(["word3", "unknown", "WORD5", "word9"], count=8)
        assert found[1] == []
        assert {word for near in found for word, _ in near} <= {"word3", "WORD5", "word9"}
        assert lexicon.neighbours(["word3"], count=8) == [[]]
        assert lexicon.neighbours([], count=8) == []

    def test_word_vectors_of_attacks_fit(self) -> None:
        words, vectors = random_words(10)
        given = WordVectors(words, vectors)
        ours = VectorLexicon(given.words, given.matrix).neighbours(words, count=2)
        assert ours == VectorLexicon(words, vectors).neighbours(words, count=2)

    def test_settings_follow_from_the_content(self) -> None:
        words, vectors = random_words(10)
        settings = dict(VectorLexicon(words, vectors).settings)
        json.dumps(settings)
        assert dict(VectorLexicon(words, vectors.copy()).settings) == settings
        assert dict(VectorLexicon(words, vectors + 1).settings) != settings
        assert dict(VectorLexicon(words[::-1], vectors).settings) != settings

    def test_one_vector_a_word(self) -> None:
        words, vectors = random_words(10)
        with pytest.raises(DataError, match="10 words"):
            VectorLexicon(words, vectors[:9])
        with pytest.raises(DataError, match="3 tokens"):
            EmbeddingLexicon(Vocabulary(("a", "b", "c"), (True,) * 3, (False,) * 3), vectors)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_vectors_are_finite(self, value: float) -> None:
        words, vectors = random_words(10)
        vectors[3, 1] = value
        with pytest.raises(DataError, match="finite"):
            VectorLexicon(words, vectors)


def test_embedding_lexicon_knows_words_and_no_pieces() -> None:
    texts = ("[PAD]", "film", "movie", "ing", "film", "x", ".")
    begins = (False, True, True, False, False, True, True)
    special = (True,) + (False,) * 6
    vectors = np.ones((7, 4), dtype=np.float32)
    vectors[1, 0], vectors[2, 1] = 3.0, 3.0
    lexicon = EmbeddingLexicon(Vocabulary(texts, begins, special), vectors)
    assert lexicon._rows == {"movie": 1, "film": 0}


class TestWordNet:
    def test_synonyms_that_are_among_the_words(self, wordnet: WordNetLexicon) -> None:
        words = ["film", "movie", "take", "films", "terrible", "awful", "qwertz"]
        found = dict(zip(words, wordnet.neighbours(words, count=8), strict=True))
        assert found["film"][0] == ("movie", 1.0)
        assert ("film", 1.0) in found["films"]
        assert found["terrible"] == [("awful", 1.0)] or "awful" in dict(found["terrible"])
        assert found["qwertz"] == []
        # To take a film is a late sense of "take".
        assert dict(found["film"])["take"] < 0.2
        for near in found.values():
            assert [n for _, n in near] == sorted((n for _, n in near), reverse=True)
            assert all(0 < n <= 1 for _, n in near)

    def test_a_short_answer_is_the_beginning_of_a_long_one(self, wordnet: WordNetLexicon) -> None:
        words = ["good", "well", "right", "sound", "full", "dear", "safe"]
        long = wordnet.neighbours(words, count=6)
        assert wordnet.neighbours(words, count=2) == [near[:2] for near in long]
        assert len(long[0]) > 2

    def test_all_that_pwws_proposes_is_known(self, wordnet: WordNetLexicon) -> None:
        from rosearch.attack.word_swaps.substitutions import WordNetSynonyms

        proposed = [w for w in WordNetSynonyms(cache=False).propose("dull") if w.islower()]
        found = wordnet.neighbours(["dull", *proposed], count=1000)[0]
        assert {word for word, _ in found} == set(proposed)

    def test_missing_is_said_at_once(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(wordnet_module, "_usual_places", list)
        monkeypatch.delenv("ROSEARCH_WORDNET", raising=False)
        with pytest.raises(MissingResourceError, match=r'pip install "rosearch\[wordnet\]"'):
            WordNetLexicon()
        with pytest.raises(MissingResourceError, match=r"index\.noun"):
            WordNetLexicon(tmp_path)


class Counting:
    """A lexicon that counts how often it is asked."""

    def __init__(self, name: str = "counting") -> None:
        self.settings = {"name": name}
        self.asked = 0

    def neighbours(self, words: Any, *, count: int) -> list[list[tuple[str, float]]]:
        self.asked += 1
        return [[(other, 0.5) for other in words if other != word][:count] for word in words]


class TestRemembered:
    @pytest.fixture(autouse=True)
    def _fresh(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lexicon_module, "_known", {})

    def test_asked_once_whoever_asks(self) -> None:
        words, first, second = list("abcdefgh"), Counting(), Counting()
        for lexicon in (first, second):
            for count in (2, 4, 8):
                found = RememberedLexicon(lexicon).neighbours(words, count=count)
                assert found == Counting().neighbours(words, count=count)
        assert (first.asked, second.asked) == (1, 0)

    def test_other_words_or_settings_are_other_questions(self) -> None:
        lexicon = Counting()
        for words in (["a", "b"], ["b", "a"]):
            RememberedLexicon(lexicon).neighbours(words, count=2)
        assert lexicon.asked == 2
        other = Counting("other")
        RememberedLexicon(other).neighbours(["a", "b"], count=2)
        assert other.asked == 1
        RememberedLexicon(lexicon).neighbours(["a", "b"], count=40)
        assert lexicon.asked == 3

    def test_keeps_a_few(self) -> None:
        for k in range(12):
            RememberedLexicon(Counting(str(k))).neighbours(["a", "b"], count=2)
        assert len(lexicon_module._known) <= 4
