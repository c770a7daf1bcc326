"""The table of resources."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from rosearch.attack.resources import find_wordnet, inventory, status
from rosearch.attack.resources.masked_lm import find_masked_lm
from rosearch.attack.resources.word_vectors import installed_vectors


def available(name: str) -> bool:
    return {resource.name: resource.available for resource in status()}[name]


@pytest.fixture
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HOME", "ROSEARCH_CACHE", "NLTK_DATA", "TA_CACHE_DIR", "FLAIR_CACHE_ROOT"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in ("VECTORS", "ENCODER", "MASKED_LM", "WORDNET"):
        monkeypatch.delenv(f"ROSEARCH_{name}", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("rosearch.wordnet.nltk_folders", lambda: [tmp_path])
    monkeypatch.setattr(inventory, "nltk_folders", lambda: [tmp_path])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    return tmp_path


def test_table_shows_paths_of_installed_resources_and_commands_of_others(
    wordnet_folder: Path,
) -> None:
    table = {resource.name: resource for resource in status()}
    assert table["WordNet"].available
    assert table["WordNet"].where == str(find_wordnet())
    assert f"installed  {'WordNet':31}  {find_wordnet()}" in str(status())
    for resource in table.values():
        if not resource.available:
            assert resource.command
            assert f"how to get it: {resource.command}" in str(status())


def test_empty_machine_has_no_resources(empty_machine: Path) -> None:
    assert not any(resource.available for resource in status())
    assert "not found  WordNet" in str(status())
    assert "the package textattack is not installed" in str(status())
    assert list(empty_machine.iterdir()) == []  # looking writes nothing


def test_masked_language_model_is_found_when_complete(empty_machine: Path) -> None:
    name = "masked language model"
    snapshot = empty_machine / "models--bert-base-uncased" / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    assert not available(name)  # an interrupted download
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("1")
    (snapshot / "config.json").write_text("{}")
    assert not available(name)  # without weights
    (snapshot / "model.safetensors").touch()
    assert not available(name)  # without a tokenizer
    (snapshot / "vocab.txt").touch()
    assert available(name)
    assert find_masked_lm() == snapshot
    (snapshot / "config.json").write_text('{"architectures": ["BertModel"]}')
    assert not available(name)


def test_word_vectors_are_found_when_complete(
    empty_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = empty_machine / "word_embeddings" / "paragramcf"
    (empty_machine / "vectors" / "default").mkdir(parents=True)
    vectors.mkdir(parents=True)
    for name in ("paragram.npy", "wordlist.pickle", "nn.npy"):
        assert not available("word vectors")
        (vectors / name).touch()
    assert available("word vectors")
    assert installed_vectors() == vectors
    monkeypatch.setenv("ROSEARCH_VECTORS", str(empty_machine / "missing"))
    assert not available("word vectors")
    monkeypatch.setenv("ROSEARCH_VECTORS", str(vectors))
    assert available("word vectors")


def test_taggers_are_found_when_complete(
    empty_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "package_folder", lambda name: empty_machine)
    assert available("part-of-speech tagger: TextBlob")
    assert available("part-of-speech tagger: HanTa")
    nltk, flair = "part-of-speech tagger: NLTK", "part-of-speech tagger: flair"
    folder = empty_machine / "taggers" / "averaged_perceptron_tagger_eng"
    folder.mkdir(parents=True)
    for part in ("weights", "tagdict", "classes"):
        assert not available(nltk)
        (folder / f"{folder.name}.{part}.json").touch()
    assert available(nltk)
    for model in ("pos-english", "upos-english-fast"):
        assert not available(flair)
        snapshot = empty_machine / "models" / model / f"models--flair--{model}" / "snapshots" / "1"
        snapshot.mkdir(parents=True)
        (snapshot / "pytorch_model.bin").touch()
    assert available(flair)


def test_looking_imports_and_configures_nothing() -> None:
    code = (
        "import sys, os, rosearch.attack.resources as r"
        "; before = set(sys.modules), dict(os.environ)"
        "; str(r.status()); assert (set(sys.modules), dict(os.environ)) == before"
        "; print([n for n in ('nltk', 'flair', 'textattack', 'textblob', 'sentence_transformers')"
        " if n in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    out = subprocess.run(command, check=False, capture_output=True, text=True)
    assert out.stdout == "[]\n", out.stderr
