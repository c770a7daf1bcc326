"""NLTK data made from WordNet."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rosearch.attack.resources import prepare_nltk
from rosearch.errors import MissingResourceError
from rosearch.stop_words import STOP_WORDS
from rosearch.wordnet_data import EXCEPTIONS, FILES, read_file


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROSEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.slow
def test_nltk_reads_the_prepared_data(wordnet_folder: Path, cache: Path) -> None:
    pytest.importorskip("nltk")
    code = (
        "import nltk, sys; nltk.data.path[:] = [sys.argv[1]]; "
        "from nltk.corpus import stopwords, wordnet; "
        "print(len(stopwords.words('english')), 'eng' in wordnet.langs(), "
        "'film' in wordnet.synsets('movie')[0].lemma_names(lang='eng'))"
    )
    folder = prepare_nltk()
    assert folder.parent == cache / "attack"
    command = [sys.executable, "-c", code, str(folder)]
    out = subprocess.run(command, check=False, capture_output=True, text=True)
    assert out.stdout == f"{len(STOP_WORDS)} True True\n", out.stderr


def test_folder_is_made_once_for_each_content(
    wordnet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "wordnet"
    shutil.copytree(wordnet_folder, other)
    with (other / "verb.exc").open("ab") as file:
        file.write(b"filmmed film\n")
    with ThreadPoolExecutor(3) as pool:
        folders = set(pool.map(lambda _: prepare_nltk(), range(3)))
    assert len(folders) == 1
    folder = folders.pop()
    before = folder.stat().st_mtime_ns
    assert prepare_nltk() == folder
    assert folder.stat().st_mtime_ns == before
    monkeypatch.setenv("ROSEARCH_WORDNET", str(other))
    assert prepare_nltk() != folder
    assert len(list(folder.parent.iterdir())) == 2  # no temporary folder remains


def test_error_names_the_file_that_wordnet_lacks(
    wordnet_folder: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = tmp_path / "wordnet"
    part.mkdir()
    for name in (*FILES, *EXCEPTIONS):
        (part / name).write_bytes(read_file(wordnet_folder, name))
    monkeypatch.setenv("ROSEARCH_WORDNET", str(part))
    with pytest.raises(MissingResourceError, match="lexnames"):
        prepare_nltk()
    assert list((cache / "attack").iterdir()) == []
