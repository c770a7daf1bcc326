"""WordNet is found, and read as NLTK reads it."""

from __future__ import annotations

import json
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rosearch.attack import PWWS, resources
from rosearch.attack.resources import WordNet, find_wordnet
from rosearch.attack.substitutions import WordNetSynonyms
from rosearch.errors import MissingResourceError


def test_same_lemmas_as_nltk(
    wordnet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nltk = pytest.importorskip("nltk")
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    copy = tmp_path / "corpora" / "wordnet"
    copy.mkdir(parents=True)
    names = [
        f"{kind}.{part}" for kind in ("index", "data") for part in ("noun", "verb", "adj", "adv")
    ]
    names += [
        "noun.exc",
        "verb.exc",
        "adj.exc",
        "adv.exc",
        "lexnames",
        "index.sense",
        "cntlist.rev",
    ]
    for name in names:
        (copy / name).write_bytes(resources._read(wordnet_folder, name))
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    with pytest.warns(UserWarning, match="multilingual"):
        theirs = WordNetCorpusReader(str(copy), None)
    ours = WordNet(wordnet_folder)
    lemmas = sorted(set(theirs.all_lemma_names()))[::60]
    inflected = [lemma + end for lemma in lemmas[::4] for end in ("s", "ed", "ing", "er", "es")]
    exceptions = ["better", "Went", "CHILDREN", "best", "mice", "ran", "galore", "o'er", "1st", "Ǆ"]
    words = [*lemmas, *inflected, *exceptions]
    assert len(words) > 4000
    for word in words:
        expected = {name for synset in theirs.synsets(word) for name in synset.lemma_names()}
        assert ours.lemmas(word) == expected, word


def test_synonyms_are_single_words_without_the_word_itself(wordnet_folder: Path) -> None:
    synonyms = WordNetSynonyms(wordnet=wordnet_folder).propose("films")
    assert "movie" in synonyms
    assert "film" in synonyms
    assert "films" not in synonyms
    assert not [s for s in synonyms if "_" in s or " " in s]
    assert list(synonyms) == sorted(set(synonyms))


def test_look_ups_travel_and_the_files_are_not_read_again(wordnet_folder: Path) -> None:
    substitution = WordNetSynonyms(wordnet=wordnet_folder)
    substitution.prepare(["film"])
    payload = pickle.dumps(substitution)
    assert len(payload) < 10_000
    twin = pickle.loads(payload)
    assert twin.propose("film") == substitution.propose("film")
    assert twin._wordnet._loaded is None
    assert twin.propose("good") == substitution.propose("good")  # reads them when it must


def copied(source: Path, target: Path, *, line_end: bytes = b"\n") -> Path:
    target.mkdir()
    for name in [*resources._FILES, *resources._EXCEPTIONS]:
        content = resources._read(source, name)
        (target / name).write_bytes(content.replace(b"\n", line_end))
    return target


def test_settings_tell_editions_apart_and_not_folders(wordnet_folder: Path, tmp_path: Path) -> None:
    here = WordNetSynonyms(wordnet=wordnet_folder)
    unix = copied(wordnet_folder, tmp_path / "unix")
    windows = copied(wordnet_folder, tmp_path / "windows", line_end=b"\r\n")
    for folder in (unix, windows):
        assert WordNetSynonyms(wordnet=folder).settings == here.settings
        assert str(folder) not in json.dumps(dict(PWWS(wordnet=folder).settings))
    with (unix / "verb.exc").open("ab") as file:
        file.write(b"filmmed film\n")
    assert WordNetSynonyms(wordnet=unix).settings != here.settings
    assert PWWS(wordnet=unix).settings != PWWS(wordnet=windows).settings


def test_the_digest_is_computed_once_and_travels(
    wordnet_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    substitution = WordNetSynonyms(wordnet=wordnet_folder)
    payload, settings = pickle.dumps(substitution), substitution.settings

    def refuse(path: Path, name: str) -> bytes:
        raise AssertionError(f"{name} is read again")

    monkeypatch.setattr(resources, "_read", refuse)
    assert substitution.settings == settings
    assert pickle.loads(payload).settings == settings


def test_many_threads(wordnet_folder: Path) -> None:
    wordnet = WordNet(wordnet_folder)
    words = ["film", "good", "better", "walks"] * 8
    expected = [WordNet(wordnet_folder).lemmas(word) for word in words[:4]]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(wordnet.lemmas, words)) == expected * 8


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_usual_places", list)
    monkeypatch.delenv("ROSEARCH_WORDNET", raising=False)


def test_an_archive_as_nltk_leaves_it(wordnet_folder: Path, tmp_path: Path, nowhere: None) -> None:
    archive = tmp_path / "wordnet.zip"
    with zipfile.ZipFile(archive, "w") as out:
        for name in [*resources._FILES, *resources._EXCEPTIONS]:
            out.writestr(f"wordnet/{name}", resources._read(wordnet_folder, name))
    assert WordNet(archive).lemmas("film") == WordNet(wordnet_folder).lemmas("film")
    assert WordNet(archive).digest == WordNet(wordnet_folder).digest


def test_the_variable_names_a_folder(
    wordnet_folder: Path, monkeypatch: pytest.MonkeyPatch, nowhere: None
) -> None:
    monkeypatch.setenv("ROSEARCH_WORDNET", str(wordnet_folder))
    assert find_wordnet() == wordnet_folder


def test_a_wrong_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nowhere: None
) -> None:
    monkeypatch.setenv("ROSEARCH_WORDNET", str(tmp_path))
    with pytest.raises(MissingResourceError, match="ROSEARCH_WORDNET"):
        find_wordnet()
    with pytest.raises(MissingResourceError, match="wordnet="):
        find_wordnet(tmp_path / "none")
    (tmp_path / "broken.zip").write_bytes(b"no archive")
    with pytest.raises(MissingResourceError):
        find_wordnet(tmp_path / "broken.zip")


def test_nltk_s_folders_are_looked_through(
    wordnet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROSEARCH_WORDNET", raising=False)
    monkeypatch.setenv("NLTK_DATA", str(tmp_path))
    (tmp_path / "corpora").mkdir()
    (tmp_path / "corpora" / "wordnet").symlink_to(wordnet_folder)
    assert find_wordnet() == tmp_path / "corpora" / "wordnet"
