"""WordNet is found, and read as NLTK reads it."""

from __future__ import annotations

import importlib.util
import json
import pickle
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rosearch import wordnet as resources
from rosearch.attack import PWWS
from rosearch.attack.resources import WordNet, find_wordnet, prepare_nltk, probes, status
from rosearch.attack.resources import status as table_module
from rosearch.attack.resources.masked_lm import find_masked_lm
from rosearch.attack.resources.word_vectors import vectors_here
from rosearch.attack.word_swaps.constraints import STOP_WORDS
from rosearch.attack.word_swaps.substitutions import WordNetSynonyms
from rosearch.errors import MissingResourceError


@pytest.mark.slow
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
        (copy / name).write_bytes(resources.read_file(wordnet_folder, name))
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
    assert twin.lookup.wordnet._loaded is None
    assert twin.propose("good") == substitution.propose("good")  # reads them when it must


def copied(source: Path, target: Path, *, line_end: bytes = b"\n") -> Path:
    target.mkdir()
    for name in [*resources.FILES, *resources.EXCEPTIONS]:
        content = resources.read_file(source, name)
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

    monkeypatch.setattr(resources, "read_file", refuse)
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
        for name in [*resources.FILES, *resources.EXCEPTIONS]:
            out.writestr(f"wordnet/{name}", resources.read_file(wordnet_folder, name))
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


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )


@pytest.mark.slow
def test_nltk_reads_what_is_prepared(wordnet_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("nltk")
    code = (
        "import nltk, sys; nltk.data.path[:] = [sys.argv[1]]; "
        "from nltk.corpus import stopwords, wordnet; "
        "print(len(stopwords.words('english')), 'eng' in wordnet.langs(), "
        "'film' in wordnet.synsets('movie')[0].lemma_names(lang='eng'))"
    )
    folder = prepare_nltk(tmp_path)
    assert folder.parent.parent == tmp_path
    out = run("-c", code, str(folder))
    assert out.stdout == f"{len(STOP_WORDS)} True True\n", out.stderr


def test_preparing_again_finds_it_and_another_content_goes_elsewhere(
    wordnet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSEARCH_CACHE", str(tmp_path / "cache"))
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
    assert len(list(folder.parent.iterdir())) == 2  # and no draft is left


def test_an_incomplete_wordnet_is_named(
    wordnet_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = tmp_path / "wordnet"
    part.mkdir()
    for name in [*resources.FILES, *resources.EXCEPTIONS]:
        (part / name).write_bytes(resources.read_file(wordnet_folder, name))
    monkeypatch.setenv("ROSEARCH_WORDNET", str(part))
    with pytest.raises(MissingResourceError, match="lexnames"):
        prepare_nltk(tmp_path / "cache")
    assert list((tmp_path / "cache" / "attack").iterdir()) == []


def test_status_names_place_or_command(wordnet_folder: Path) -> None:
    table = {resource.name: resource for resource in status()}
    assert len(table) == len(probes)
    assert table["WordNet"].here
    assert table["WordNet"].where == str(find_wordnet())
    assert table["stop words"].here
    for resource in status().missing:
        assert resource.command
        assert f"get: {resource.command}" in str(status())


def test_status_of_a_bare_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nowhere: None
) -> None:
    for name in ("HOME", "ROSEARCH_CACHE", "NLTK_DATA", "HF_HUB_CACHE", "HF_HOME", "TA_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    named = ("ROSEARCH_VECTORS", "ROSEARCH_ENCODER", "ROSEARCH_MASKED_LM")
    for name in ("HUGGINGFACE_HUB_CACHE", "FLAIR_CACHE_ROOT", *named):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    missing = {resource.name for resource in status().missing}
    assert missing == {resource.name for resource in status()} - {"stop words"}
    assert "no   WordNet" in str(status())
    assert list(tmp_path.iterdir()) == []  # nothing is made by looking


def test_status_sees_what_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def here(name: str) -> bool:
        return {resource.name: resource.here for resource in status()}[name]

    for name in ("HF_HUB_CACHE", "TA_CACHE_DIR", "ROSEARCH_CACHE"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in ("ROSEARCH_VECTORS", "ROSEARCH_MASKED_LM"):
        monkeypatch.delenv(name, raising=False)
    assert not here("masked language model")
    snapshot = tmp_path / "models--google-bert--bert-base-uncased" / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    assert not here("masked language model")  # a download that was broken off
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("1")
    (snapshot / "config.json").write_text("{}")
    assert not here("masked language model")  # without weights
    (snapshot / "model.safetensors").touch()
    assert not here("masked language model")  # without a tokenizer
    (snapshot / "vocab.txt").touch()
    assert here("masked language model")
    assert find_masked_lm() == snapshot
    (snapshot / "config.json").write_text('{"architectures": ["BertModel"]}')
    assert not here("masked language model")
    assert not here("word vectors")
    vectors = tmp_path / "word_embeddings" / "paragramcf"
    (tmp_path / "vectors" / "default").mkdir(parents=True)
    vectors.mkdir(parents=True)
    for name in ("paragram.npy", "wordlist.pickle", "nn.npy"):
        assert not here("word vectors")
        (vectors / name).touch()
    assert here("word vectors")
    assert vectors_here() == vectors
    monkeypatch.setenv("TA_CACHE_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("ROSEARCH_VECTORS", str(tmp_path / "none"))
    assert not here("word vectors")
    monkeypatch.setenv("ROSEARCH_VECTORS", str(vectors))
    assert here("word vectors")


def test_status_asks_for_what_taggers_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def here(name: str) -> bool:
        table = {resource.name: resource.here for resource in status()}
        return table[f"part-of-speech tagger: {name}"]

    monkeypatch.setattr(table_module, "_package", lambda name: tmp_path)
    monkeypatch.setattr(table_module, "nltk_folders", lambda: [tmp_path])
    monkeypatch.setattr(table_module.metadata, "version", lambda name: "3.10.1")
    monkeypatch.setenv("FLAIR_CACHE_ROOT", str(tmp_path))
    old, new = (tmp_path / "taggers" / f"averaged_perceptron_tagger{end}" for end in ("", "_eng"))
    for folder in (old, new):
        folder.mkdir(parents=True)
    (old / "averaged_perceptron_tagger.pickle").touch()
    for part in ("weights", "tagdict", "classes"):
        assert not here("NLTK")
        (new / f"{new.name}.{part}.json").touch()
    assert here("NLTK")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_module.metadata, "version", lambda name: "3.8.1")
        assert not here("NLTK")
    for model in ("pos-english", "upos-english-fast"):
        assert not here("flair")
        made = tmp_path / "models" / model / f"models--flair--{model}" / "snapshots" / "1"
        made.mkdir(parents=True)
        (made / "pytorch_model.bin").touch()
    assert here("flair")


def test_looking_imports_and_configures_nothing() -> None:
    code = (
        "import sys, os, rosearch.attack.resources as r"
        "; before = set(sys.modules), dict(os.environ)"
        "; str(r.status()); assert (set(sys.modules), dict(os.environ)) == before"
        "; print([n for n in ('nltk', 'flair', 'textattack', 'textblob', 'sentence_transformers')"
        " if n in sys.modules])"
    )
    out = run("-c", code)
    assert out.stdout == "[]\n", out.stderr


def test_the_module_prints_the_table() -> None:
    out = run("-m", "rosearch.attack.resources")
    assert out.returncode == 0, out.stderr
    assert "WordNet" in out.stdout
