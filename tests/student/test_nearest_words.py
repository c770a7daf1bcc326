"""Nearest words by vectors and by WordNet."""

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
from rosearch.student import (
    CachedNearestWords,
    EmbeddingNearestWords,
    VectorNearestWords,
    WordNetNearestWords,
)
from rosearch.student import nearest_words as nearest_words_module
from rosearch.wordnet import find_wordnet


@pytest.fixture(scope="module")
def wordnet() -> WordNetNearestWords:
    try:
        return WordNetNearestWords(find_wordnet())
    except MissingResourceError as error:
        pytest.skip(str(error))


def random_words(count: int, width: int = 8) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(count, width)).astype(np.float32) + 2.0
    return [f"word{k}" for k in range(count)], vectors


class TestVectors:
    @pytest.mark.parametrize("batch", [3, 7, 15, 100])
    def test_agrees_with_its_definition(self, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(nearest_words_module, "TILE", batch)
        words, vectors = random_words(30)
        found = VectorNearestWords(words, vectors).neighbours(words, count=4)
        table = torch.from_numpy(vectors)
        table = table - table.mean(dim=0)
        for k, near in enumerate(found):
            cosines = cosine_similarity(table, table[k : k + 1])
            cosines[k] = -2
            order = [i for i in cosines.argsort(descending=True).tolist() if cosines[i] > 0][:4]
            assert [word for word, _ in near] == [words[i] for i in order]
            np.testing.assert_allclose([n for _, n in near], cosines[order], rtol=1e-5)

    def test_neighbours_are_among_the_given_words(self) -> None:
        words, vectors = random_words(20)
        nearest = VectorNearestWords(words, vectors)
        found = nearest.neighbours(["word3", "unknown", "WORD5", "word9"], count=8)
        assert found[1] == []
        assert {word for near in found for word, _ in near} <= {"word3", "WORD5", "word9"}
        assert nearest.neighbours(["word3"], count=8) == [[]]
        assert nearest.neighbours([], count=8) == []

    def test_word_vectors_of_attacks(self) -> None:
        words, vectors = random_words(10)
        given = WordVectors(words, vectors)
        ours = VectorNearestWords(given.words, given.matrix).neighbours(words, count=2)
        assert ours == VectorNearestWords(words, vectors).neighbours(words, count=2)

    def test_settings_follow_from_the_content(self) -> None:
        words, vectors = random_words(10)
        settings = dict(VectorNearestWords(words, vectors).settings)
        json.dumps(settings)
        assert dict(VectorNearestWords(words, vectors.copy()).settings) == settings
        assert dict(VectorNearestWords(words, vectors + 1).settings) != settings
        assert dict(VectorNearestWords(words[::-1], vectors).settings) != settings

    def test_number_of_vectors_is_checked(self) -> None:
        words, vectors = random_words(10)
        with pytest.raises(DataError, match="10 words"):
            VectorNearestWords(words, vectors[:9])
        with pytest.raises(DataError, match="3 tokens"):
            EmbeddingNearestWords(Vocabulary(("a", "b", "c"), (True,) * 3, (False,) * 3), vectors)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_vectors_must_be_finite(self, value: float) -> None:
        words, vectors = random_words(10)
        vectors[3, 1] = value
        with pytest.raises(DataError, match="finite"):
            VectorNearestWords(words, vectors)


def test_embedding_nearest_words_are_words_and_not_pieces() -> None:
    texts = ("[PAD]", "film", "movie", "ing", "film", "x", ".", "good")
    begins = (False, True, True, False, False, True, True, True)
    special = (True,) + (False,) * 7
    vectors = np.zeros((8, 2), dtype=np.float32)
    # The second "film" is inside a word; its vector is not used.
    vectors[[1, 2, 3], 0], vectors[[4, 7], 0] = (2.0, 3.0, 3.0), -2.0
    nearest = EmbeddingNearestWords(Vocabulary(texts, begins, special), vectors)
    found = nearest.neighbours(["film", "movie", "ing", "x", "good"], count=3)
    assert [[word for word, _ in near] for near in found] == [["movie"], ["film"], [], [], []]


class TestWordNet:
    def test_synonyms_are_among_the_given_words(self, wordnet: WordNetNearestWords) -> None:
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

    def test_short_lists_are_beginnings_of_long_ones(self, wordnet: WordNetNearestWords) -> None:
        words = ["good", "well", "right", "sound", "full", "dear", "safe"]
        long = wordnet.neighbours(words, count=6)
        assert wordnet.neighbours(words, count=2) == [near[:2] for near in long]
        assert len(long[0]) > 2

    def test_includes_all_substitutions_of_pwws(self, wordnet: WordNetNearestWords) -> None:
        from rosearch.attack.word_swaps.substitutions import WordNetSynonyms

        proposed = [w for w in WordNetSynonyms(cache=False).propose("dull") if w.islower()]
        found = wordnet.neighbours(["dull", *proposed], count=1000)[0]
        assert {word for word, _ in found} == set(proposed)

    def test_missing_wordnet_raises(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(wordnet_module, "nltk_folders", list)
        monkeypatch.setenv("WN_DATA_DIR", str(tmp_path))
        monkeypatch.setattr(wordnet_module, "package_folder", lambda name: None)
        monkeypatch.delenv("ROSEARCH_WORDNET", raising=False)
        with pytest.raises(MissingResourceError, match="resources --get wordnet"):
            WordNetNearestWords()
        with pytest.raises(MissingResourceError, match=r"index\.noun"):
            WordNetNearestWords(tmp_path)


class Counting:
    """Nearest words that count the look-ups."""

    def __init__(self, name: str = "counting") -> None:
        self.settings = {"name": name}
        self.asked = 0

    def neighbours(self, words: Any, *, count: int) -> list[list[tuple[str, float]]]:
        self.asked += 1
        return [[(other, 0.5) for other in words if other != word][:count] for word in words]


class TestCached:
    @pytest.fixture(autouse=True)
    def _fresh(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(CachedNearestWords, "cache", {})

    def test_looked_up_once_for_all_objects(self) -> None:
        words, first, second = list("abcdefgh"), Counting(), Counting()
        for nearest in (first, second):
            for count in (2, 4, 8):
                found = CachedNearestWords(nearest).neighbours(words, count=count)
                assert found == Counting().neighbours(words, count=count)
        assert (first.asked, second.asked) == (1, 0)

    def test_other_words_or_settings_are_looked_up_again(self) -> None:
        nearest = Counting()
        for words in (["a", "b"], ["b", "a"]):
            CachedNearestWords(nearest).neighbours(words, count=2)
        assert nearest.asked == 2
        other = Counting("other")
        CachedNearestWords(other).neighbours(["a", "b"], count=2)
        assert other.asked == 1
        CachedNearestWords(nearest).neighbours(["a", "b"], count=40)
        assert nearest.asked == 3

    def test_cache_is_bounded(self) -> None:
        for k in range(12):
            CachedNearestWords(Counting(str(k))).neighbours(["a", "b"], count=2)
        assert len(CachedNearestWords.cache) <= 4
