"""Word vectors: files, neighbours, and the parts that use them."""

from __future__ import annotations

import gzip
import json
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rosearch.attack import WordVectors, find_vectors
from rosearch.errors import DataError, MissingResourceError

WORDS = ["film", "movie", "good", "bad", "Paris", "well known"]
MATRIX = np.array(
    [[1, 0, 0], [0.9, 0.1, 0], [0, 2, 0], [0, -1, 0.5], [0, 0, 3], [0.1, 1, 0]], dtype=np.float32
)


@pytest.fixture
def vectors() -> WordVectors:
    return WordVectors(WORDS, MATRIX)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROSEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TA_CACHE_DIR", str(tmp_path / "textattack"))
    monkeypatch.delenv("ROSEARCH_VECTORS", raising=False)


def same(a: WordVectors, b: WordVectors) -> bool:
    return list(a.words) == list(b.words) and bool(np.array_equal(a.matrix, b.matrix))


def as_lines(words: list[str], matrix: np.ndarray) -> str:
    rows = zip(words, matrix.tolist(), strict=True)
    return "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in rows)


@pytest.mark.parametrize("header", ["", "6 3\n"])
@pytest.mark.parametrize("name", ["table.txt", "table.vec", "table.txt.gz"])
def test_text_files(tmp_path: Path, vectors: WordVectors, header: str, name: str) -> None:
    content = header + as_lines(WORDS, MATRIX)
    opened: Any = gzip.open if name.endswith(".gz") else open
    with opened(tmp_path / name, "wt", encoding="utf-8") as file:
        file.write(content)
    loaded = WordVectors.load(tmp_path / name)
    assert same(loaded, vectors)
    assert loaded.digest == vectors.digest
    # It was converted: the second time the file is not read.
    assert isinstance(WordVectors.load(tmp_path / name).matrix, np.memmap)


def test_a_text_file_that_changes_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "table.txt"
    path.write_text(as_lines(WORDS, MATRIX))
    first = WordVectors.load(path)
    path.write_text(as_lines(WORDS[:2], MATRIX[:2]))
    assert len(first) == 6
    assert len(WordVectors.load(path)) == 2


def test_damaged_text_files_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "table.txt"
    for damage in ("movie 1 2\n", "movie 1 2 x\n", "\n"):
        path.write_text("film 1 2 3\n" + damage)
        with pytest.raises(DataError, match=r"Line 2 of .*table\.txt"):
            WordVectors.load(path)
    path.write_text("")
    with pytest.raises(DataError, match="holds no words"):
        WordVectors.load(path)


def test_word2vec_in_binary_form(tmp_path: Path, vectors: WordVectors) -> None:
    words = [word.replace(" ", "_") for word in WORDS]
    rows = b"".join(
        word.encode() + b" " + struct.pack("<3f", *row) + b"\n"
        for word, row in zip(words, MATRIX.tolist(), strict=True)
    )
    path = tmp_path / "table.bin"
    path.write_bytes(b"6 3\n" + rows)
    loaded = WordVectors.load(path)
    assert same(loaded, WordVectors(words, MATRIX))
    path.write_bytes(b"7 3\n" + rows)
    with pytest.raises(DataError, match="ends after 6 of 7"):
        WordVectors.load(path)


def test_an_array_with_its_words(tmp_path: Path, vectors: WordVectors) -> None:
    np.save(tmp_path / "table.npy", MATRIX)
    with pytest.raises(MissingResourceError, match=r"table\.txt"):
        WordVectors.load(tmp_path / "table.npy")
    (tmp_path / "table.txt").write_text("\n".join(WORDS) + "\n")
    assert same(WordVectors.load(tmp_path / "table.npy"), vectors)


def their_folder(folder: Path, neighbours: np.ndarray, word_list: bytes | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "paragram.npy", MATRIX)
    np.save(folder / "nn.npy", neighbours)
    listed = {word: row for row, word in enumerate(WORDS)}
    (folder / "wordlist.pickle").write_bytes(word_list or pickle.dumps(listed))
    return folder


def test_textattack_s_folder_with_its_neighbours(tmp_path: Path) -> None:
    near = np.array([[i, (i + 2) % 6, (i + 1) % 6] for i in range(6)])
    folder = their_folder(tmp_path / "textattack/word_embeddings/paragramcf", near)
    loaded = find_vectors()
    assert loaded.nearest(["film"], 1) == [("good",)]
    assert loaded.nearest(["film"], 2) == [("good", "movie")]
    assert loaded.nearest(["film"], 50) == [("good", "movie")]  # no more are stored
    assert loaded.digest != WordVectors(WORDS, MATRIX).digest
    assert same(WordVectors.load(folder), loaded)


class Evil:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("touched-by-pickle"),))


def test_a_word_list_that_names_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    near = np.zeros((6, 2), dtype=np.int64)
    for content in (pickle.dumps(Evil()), pickle.dumps({"film": Evil()}), b"", b"nonsense"):
        folder = their_folder(tmp_path / "cf", near, content or b"\x80")
        with pytest.raises(DataError, match="cannot be read as a list of words"):
            WordVectors.load(folder)
    assert not (tmp_path / "touched-by-pickle").exists()
    folder = their_folder(tmp_path / "cf", near, pickle.dumps({"film": 0, "movie": 0}))
    with pytest.raises(DataError, match="row of its own"):
        WordVectors.load(folder)


def test_saved_vectors_are_mapped_and_pickled_by_path(tmp_path: Path, vectors: WordVectors) -> None:
    big = WordVectors([f"w{i}" for i in range(2000)], np.random.default_rng(0).random((2000, 64)))
    loaded = WordVectors.load(big.save(tmp_path / "saved"))
    loaded.nearest(["w5"], 3)
    sent = pickle.dumps(loaded)
    assert len(sent) < 2000
    twin = pickle.loads(sent)
    assert same(twin, big)
    assert twin.settings == loaded.settings == big.settings
    assert twin.nearest(["w5"], 3) == big.nearest(["w5"], 3)
    assert same(pickle.loads(pickle.dumps(vectors)), vectors)


def test_saving_twice_keeps_what_is_there(tmp_path: Path, vectors: WordVectors) -> None:
    folder = vectors.save(tmp_path / "saved")
    WordVectors(["other"], MATRIX[:1]).save(folder)
    assert same(WordVectors.load(folder), vectors)
    assert sorted(p.name for p in tmp_path.glob("*")) == ["saved"]


def test_neighbours_are_those_of_a_full_sort() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(300, 12)).astype(np.float32)
    matrix[7] = matrix[40]  # a tie
    matrix[9] = 0
    words = [f"w{i}" for i in range(300)]
    vectors = WordVectors(words, matrix)
    exact = matrix.astype(np.float64)
    lengths = np.maximum(np.linalg.norm(exact, axis=1), 1e-12)
    cosine = exact @ exact.T / np.outer(lengths, lengths)
    distance = ((exact[:, None] - exact) ** 2).sum(axis=2)
    for metric, key in (("cosine", -cosine), ("euclidean", distance)):
        found = vectors.nearest(words, 10, metric=metric)  # type: ignore[arg-type]
        for row in range(300):
            order = [i for i in np.argsort(key[row], kind="stable") if i != row]
            if row != 9:
                assert found[row] == tuple(words[i] for i in order[:10]), (metric, row)
    alone = [WordVectors(words, matrix).nearest([word], 10)[0] for word in words[:60]]
    assert alone == vectors.nearest(words[:60], 10)


def test_neighbours_of_unknown_words_and_small_tables(vectors: WordVectors) -> None:
    assert vectors.nearest(["nowhere", "film"], 2) == [(), ("movie", "well known")]
    assert len(vectors.nearest(["film"], 99)[0]) == 5
    assert WordVectors(["one"], MATRIX[:1]).nearest(["one"], 3) == [()]
    with pytest.raises(DataError, match="count is a whole number"):
        vectors.nearest(["film"], 0)
    with pytest.raises(DataError, match="metric is"):
        vectors.nearest(["film"], 1, metric="manhattan")  # type: ignore[arg-type]


def test_bad_tables_are_refused() -> None:
    with pytest.raises(DataError, match="'a' has two vectors"):
        WordVectors(["a", "b", "a"], MATRIX[:3])
    with pytest.raises(DataError, match="one row of numbers a word"):
        WordVectors(["a"], MATRIX)
    with pytest.raises(DataError, match="floating-point"):
        WordVectors(["a"], np.ones((1, 2), dtype=np.int64))
    with pytest.raises(DataError, match="row of indices"):
        WordVectors(["a"], MATRIX[:1], neighbours=MATRIX[:1])


class KeyedVectors:
    """What is used of gensim's class of that name."""

    index_to_key = WORDS
    vectors = MATRIX


def test_where_vectors_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vectors: WordVectors
) -> None:
    with pytest.raises(MissingResourceError, match=r"rosearch\.attack\.counterfitting MODEL"):
        find_vectors()
    with pytest.raises(MissingResourceError, match="There are no word vectors at"):
        find_vectors(tmp_path / "nowhere")
    with pytest.raises(MissingResourceError, match="holds no word vectors"):
        find_vectors(tmp_path)
    with pytest.raises(DataError, match="got int"):
        find_vectors(3)
    assert find_vectors(vectors) is vectors
    assert same(find_vectors(KeyedVectors()), vectors)
    # A download that was broken off is none.
    for broken in ("cache/vectors/default", "textattack/word_embeddings/paragramcf"):
        (tmp_path / broken).mkdir(parents=True)
    monkeypatch.setenv("TA_CACHE_DIR", str(tmp_path / "textattack"))
    with pytest.raises(MissingResourceError, match=r"rosearch\.attack\.counterfitting MODEL"):
        find_vectors()
    (tmp_path / "cache/vectors/default").rmdir()
    one = WordVectors(["one"], MATRIX[:1])
    one.save(tmp_path / "cache/vectors/default")
    assert same(find_vectors(), one)
    monkeypatch.setenv("ROSEARCH_VECTORS", str(vectors.save(tmp_path / "named")))
    assert same(find_vectors(), vectors)


def test_settings_tell_contents_apart_and_not_folders(tmp_path: Path, vectors: WordVectors) -> None:
    loaded = WordVectors.load(vectors.save(tmp_path / "a"))
    assert json.loads(json.dumps(dict(loaded.settings))) == dict(vectors.settings)
    assert WordVectors(WORDS, MATRIX + 1).digest != vectors.digest
    assert WordVectors(WORDS[::-1], MATRIX).digest != vectors.digest
