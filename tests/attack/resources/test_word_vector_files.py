"""File formats of word vectors."""

from __future__ import annotations

import gzip
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rosearch.attack import WordVectors
from rosearch.errors import DataError
from tests.attack.resources.test_word_vectors import MATRIX, WORDS, same

pytestmark = pytest.mark.usefixtures("no_installed_vectors")


def as_lines(words: list[str], matrix: np.ndarray) -> str:
    rows = zip(words, matrix.tolist(), strict=True)
    return "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in rows)


@pytest.mark.parametrize("header", ["", "6 3\n"])
@pytest.mark.parametrize("name", ["table.txt", "table.txt.gz"])
def test_text_files(tmp_path: Path, header: str, name: str) -> None:
    opened: Any = gzip.open if name.endswith(".gz") else open
    with opened(tmp_path / name, "wt", encoding="utf-8") as file:
        file.write(header + as_lines(WORDS, MATRIX) + "film 9 9 9\n")  # the first "film" counts
    vectors, loaded = WordVectors(WORDS, MATRIX), WordVectors.load(tmp_path / name)
    assert same(loaded, vectors)
    assert loaded.digest == vectors.digest
    assert isinstance(loaded.matrix, np.memmap)  # converted in the cache folder


def test_changed_text_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "table.txt"
    path.write_text(as_lines(WORDS, MATRIX))
    assert len(WordVectors.load(path)) == 6
    path.write_text(as_lines(WORDS[:2], MATRIX[:2]))
    assert len(WordVectors.load(path)) == 2


@pytest.mark.parametrize("damage", ["movie 1 2\n", "movie 1 2 x\n", "1 2 3\n", "\n"])
def test_error_names_the_damaged_line(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "table.txt"
    path.write_text("film 1 2 3\n" + damage)
    with pytest.raises(DataError, match=r"Line 2 of .*table\.txt"):
        WordVectors.load(path)


def test_empty_text_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.txt"
    path.touch()
    with pytest.raises(DataError, match="holds no words"):
        WordVectors.load(path)


def test_word2vec_binary_files(tmp_path: Path) -> None:
    words = [word.replace(" ", "_") for word in WORDS]
    rows = b"".join(
        word.encode() + b" " + struct.pack("<3f", *row) + b"\n"
        for word, row in zip(words, MATRIX.tolist(), strict=True)
    )
    path = tmp_path / "table.bin"
    path.write_bytes(b"6 3\n" + rows)
    assert same(WordVectors.load(path), WordVectors(words, MATRIX))
    path.write_bytes(b"7 3\n" + rows)
    with pytest.raises(DataError, match="ends after 6 of 7"):
        WordVectors.load(path)


def textattack_folder(folder: Path, neighbours: np.ndarray, word_list: bytes | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "paragram.npy", MATRIX)
    np.save(folder / "nn.npy", neighbours)
    rows = {word: row for row, word in enumerate(WORDS)}
    (folder / "wordlist.pickle").write_bytes(word_list or pickle.dumps(rows))
    return folder


def test_textattack_folder_with_stored_neighbours(tmp_path: Path) -> None:
    near = np.array([[i, (i + 2) % 6, (i + 1) % 6] for i in range(6)])
    loaded = WordVectors.load(textattack_folder(tmp_path / "paragramcf", near))
    for table in (loaded, WordVectors.load(loaded.save(tmp_path / "saved"))):
        assert table.nearest(["film"], 1) == [("good",)]
        assert table.nearest(["film"], 50) == [("good", "movie")]  # no more are stored
        assert table.digest == loaded.digest != WordVectors(WORDS, MATRIX).digest


class Evil:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("touched-by-pickle"),))


def test_word_list_with_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    near = np.zeros((6, 2), dtype=np.int64)
    for content in (pickle.dumps(Evil()), pickle.dumps({"film": Evil()}), b"\x80", b"nonsense"):
        folder = textattack_folder(tmp_path / "cf", near, content)
        with pytest.raises(DataError, match="cannot be read as a list of words"):
            WordVectors.load(folder)
    assert not (tmp_path / "touched-by-pickle").exists()
