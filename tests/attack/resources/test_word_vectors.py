"""Word vectors: nearest words, saving, and where they are found."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from rosearch.attack import WordVectors, find_vectors
from rosearch.errors import DataError, MissingResourceError

pytestmark = pytest.mark.usefixtures("no_installed_vectors")

WORDS = ["film", "movie", "good", "bad", "Paris", "well known"]
MATRIX = np.array(
    [[1, 0, 0], [0.9, 0.1, 0], [0, 2, 0], [0, -1, 0.5], [0, 0, 3], [0.1, 1, 0]], dtype=np.float32
)


@pytest.fixture
def vectors() -> WordVectors:
    return WordVectors(WORDS, MATRIX)


def same(a: WordVectors, b: WordVectors) -> bool:
    return a.words == b.words and bool(np.array_equal(a.matrix, b.matrix))


def test_saved_vectors_are_pickled_as_their_path(tmp_path: Path, vectors: WordVectors) -> None:
    big = WordVectors([f"w{i}" for i in range(2000)], np.random.default_rng(0).random((2000, 64)))
    loaded = WordVectors.load(big.save(tmp_path / "saved"))
    loaded.nearest(["w5"], 3)
    data = pickle.dumps(loaded)
    assert len(data) < 2000
    copy = pickle.loads(data)
    assert isinstance(copy.matrix, np.memmap)
    assert same(copy, big)
    assert copy.settings == loaded.settings == big.settings
    assert copy.nearest(["w5"], 3) == big.nearest(["w5"], 3)
    assert same(pickle.loads(pickle.dumps(vectors)), vectors)


def test_saving_again_keeps_the_first_vectors(tmp_path: Path, vectors: WordVectors) -> None:
    folder = vectors.save(tmp_path / "saved")
    WordVectors(["other"], MATRIX[:1]).save(folder)
    assert same(WordVectors.load(folder), vectors)
    assert sorted(path.name for path in tmp_path.glob("*")) == ["saved"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(OSError, match="other"):
        vectors.save(tmp_path / "other")


def test_nearest_words_are_those_of_a_full_sort() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(300, 12)).astype(np.float32)
    matrix[7] = matrix[40]  # a tie
    matrix[9] = 0
    words = [f"w{i}" for i in range(300)]
    exact = matrix.astype(np.float64)
    lengths = np.maximum(np.linalg.norm(exact, axis=1), 1e-12)
    cosine = exact @ exact.T / np.outer(lengths, lengths)
    found = WordVectors(words, matrix).nearest(words, 10)
    for row in range(300):
        order = [i for i in np.argsort(-cosine[row], kind="stable") if i != row]
        if row != 9:
            assert found[row] == tuple(words[i] for i in order[:10]), row
    alone = WordVectors(words, matrix)
    assert found[:60] == [alone.nearest([w], 10)[0] for w in words[:60]]


def test_nearest_of_unknown_words_and_small_tables(vectors: WordVectors) -> None:
    assert vectors.nearest(["unknown", "film"], 2) == [(), ("movie", "well known")]
    assert len(vectors.nearest(["film"], 99)[0]) == 5
    assert WordVectors(["one"], MATRIX[:1]).nearest(["one"], 3) == [()]
    with pytest.raises(ValueError, match="count must be a whole number from 1"):
        vectors.nearest(["film"], 0)


@pytest.mark.parametrize(
    ("words", "matrix"),
    [(["a"], MATRIX), (["a"], MATRIX[0]), ([], MATRIX[:0]), (["a"], np.ones((1, 2), np.int64))],
)
def test_matrix_of_another_shape_or_type_is_refused(words: list[str], matrix: np.ndarray) -> None:
    with pytest.raises(ValueError, match="matrix must be a floating-point array"):
        WordVectors(words, matrix)


def test_duplicate_words_are_refused() -> None:
    with pytest.raises(DataError, match="'a' has two vectors"):
        WordVectors(["a", "b", "a"], MATRIX[:3])


class KeyedVectors:
    """The attributes used of gensim's class."""

    index_to_key = WORDS
    vectors = MATRIX


def test_vectors_given_by_the_caller(tmp_path: Path, vectors: WordVectors) -> None:
    assert find_vectors(vectors) is vectors
    assert same(find_vectors(KeyedVectors()), vectors)
    assert same(find_vectors(vectors.save(tmp_path / "saved")), vectors)
    with pytest.raises(MissingResourceError, match="There are no word vectors at"):
        find_vectors(tmp_path / "missing")
    with pytest.raises(MissingResourceError, match="holds no word vectors"):
        find_vectors(tmp_path)
    with pytest.raises(ValueError, match="vectors must be WordVectors"):
        find_vectors(3)


def test_installed_vectors_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vectors: WordVectors
) -> None:
    # Interrupted downloads leave these folders.
    for broken in ("cache/vectors/default", "textattack/word_embeddings/paragramcf"):
        (tmp_path / broken).mkdir(parents=True)
    with pytest.raises(MissingResourceError, match=r"resources\.counterfitting MODEL"):
        find_vectors()
    one = WordVectors(["one"], MATRIX[:1])
    one.save(tmp_path / "cache/vectors/default")
    assert same(find_vectors(), one)
    monkeypatch.setenv("ROSEARCH_VECTORS", str(vectors.save(tmp_path / "named")))
    assert same(find_vectors(), vectors)


def test_settings_depend_on_content_and_not_on_the_folder(
    tmp_path: Path, vectors: WordVectors
) -> None:
    loaded = WordVectors.load(vectors.save(tmp_path / "a"))
    assert json.loads(json.dumps(dict(loaded.settings))) == dict(vectors.settings)
    assert WordVectors(WORDS, MATRIX + 1).digest != vectors.digest
    assert WordVectors(WORDS[::-1], MATRIX).digest != vectors.digest
