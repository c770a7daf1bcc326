"""Sentence encoders: cosines, cache, identity, and where they are found."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rosearch.attack import SentenceEncoder
from rosearch.attack.resources import sentence_encoders as encoders
from rosearch.errors import EvaluationError, MissingResourceError
from tests.attack.recorders import RecordingEncoder, letters


def test_cosines_of_pairs() -> None:
    encoder = SentenceEncoder(letters)
    found = encoder.answer([("a", "ab"), ("a", "c"), ("ab", "ba"), ("x", "a"), ("x", "x")])
    # A null vector is like nothing; a text is like itself even so.
    assert found == pytest.approx([math.sqrt(0.5), 0, 1, 0, 1])


def test_each_text_is_embedded_once() -> None:
    recorder = RecordingEncoder()
    encoder = SentenceEncoder(recorder)
    encoder.answer([("a", "b"), ("a", "c"), ("c", "b")])
    encoder.answer([("a", "d"), ("a", "b")])
    assert sorted(recorder.seen) == ["a", "b", "c", "d"]
    assert encoder.computed == 4


def test_memory_for_embeddings_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "_KEPT", 4)
    encoder = SentenceEncoder(letters)
    for k in range(30):
        encoder.answer([("a", "b" * k), ("a", "c" * k)])
        assert len(encoder._recent) <= 4
    assert encoder.answer([("a" * i, "ab" * i) for i in range(1, 9)]) == pytest.approx(
        [math.sqrt(0.5)] * 8
    )


def test_encoders_that_answer_nonsense() -> None:
    with pytest.raises(EvaluationError, match="returned NaN or infinity for 'bad'"):
        SentenceEncoder(
            lambda texts: [[float("nan") if t == "bad" else 1.0] for t in texts]
        ).answer([("good", "bad")])
    with pytest.raises(EvaluationError, match=r"got shape \(1, 4\)"):
        SentenceEncoder(lambda texts: letters(texts[:1])).answer([("a", "b")])
    with pytest.raises(ValueError, match="encoder must be"):
        SentenceEncoder(3)


def test_functions_are_cached_on_disk_under_a_name_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROSEARCH_CACHE", str(tmp_path))
    SentenceEncoder(letters).answer([("a", "b")])
    assert list(tmp_path.iterdir()) == []
    SentenceEncoder(letters, key="letters 1").answer([("a", "b")])
    again = SentenceEncoder(letters, key="letters 1")
    assert again.answer([("a", "b")]) == [0.0]
    assert again.computed == 0
    twin = pickle.loads(pickle.dumps(again))
    assert twin.settings == again.settings
    assert twin.answer([("a", "ab")]) == pytest.approx([math.sqrt(0.5)])


class Module(torch.nn.Module):
    """What is used of a ``SentenceTransformer``."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.full((4,), value))

    def encode(self, texts: list[str], **settings: Any) -> np.ndarray:
        assert settings["show_progress_bar"] is False
        return letters(texts) * self.weight.detach().numpy()


def test_a_sentence_transformer_is_known_by_its_weights() -> None:
    first, second, other = (SentenceEncoder(Module(v), cache=False) for v in (1.0, 1.0, 2.0))
    assert first.settings == second.settings != other.settings
    assert first.answer([("a", "ab")]) == pytest.approx([math.sqrt(0.5)])
    twin = pickle.loads(pickle.dumps(first))
    assert twin.answer([("a", "b")]) == [0]


def folder_of(path: Path, weights: bytes = b"w") -> Path:
    path.mkdir()
    (path / "config.json").write_text("{}")
    (path / "model.safetensors").write_bytes(weights)
    (path / "README.md").write_text(path.name)
    return path


def test_every_file_that_decides_answers_counts(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    folder = folder_of(tmp_path / "a")
    modules = [{"path": ""}, {"path": "1_Pooling"}, {"path": "query/dense"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    seen = [SentenceEncoder(folder).settings]
    for name in (
        "config_sentence_transformers.json sentence_bert_config.json tokenizer_config.json "
        "vocab.txt special_tokens_map.json 1_Pooling/config.json query/dense/config.json"
    ).split():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
        settings = SentenceEncoder(folder).settings
        assert settings not in seen, name
        seen.append(settings)
    for name in ("README.md", ".gitattributes", "tf_model.h5", "pytorch_model.bin", "1/notes.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("other")
        assert SentenceEncoder(folder).settings == seen[-1], name


@pytest.mark.slow
def test_every_part_of_a_sentence_transformer_counts(
    tiny_bert: Any, tokenizer: Any, tmp_path: Path
) -> None:
    package = pytest.importorskip("sentence_transformers")
    models = pytest.importorskip("sentence_transformers.models")
    tiny_bert().bert.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")

    def made(mode: str = "mean", **settings: Any) -> Any:
        first = models.Transformer(str(tmp_path / "model"))
        width = first.auto_model.config.hidden_size
        modules = [first, models.Pooling(width, pooling_mode=mode)]
        return package.SentenceTransformer(modules=modules, device="cpu", **settings)

    def settings_of(model: Any) -> Any:
        return SentenceEncoder(model, cache=False).settings

    plain = settings_of(made())
    assert settings_of(made()) == plain
    shorter, scaled, cased = made(), made(), made()
    shorter.max_seq_length = 8
    scaled[0].auto_model.config.layer_norm_eps = 0.5
    cased.tokenizer.backend_tokenizer.normalizer = None
    prompted = made(prompts={"x": "mood: "}, default_prompt_name="x")
    others = [shorter, scaled, cased, prompted, made("cls")]
    others.append(package.SentenceTransformer(modules=[*made(), models.Normalize()], device="cpu"))
    found = [settings_of(model)["model"] for model in [made(), *others]]
    assert len(set(found)) == len(found)
    used = made()
    used.encode(["a film", "what a good movie"])
    assert settings_of(used) == plain


def test_where_encoders_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROSEARCH_ENCODER", raising=False)
    monkeypatch.setattr(encoders, "package_folder", lambda name: None)
    with pytest.raises(MissingResourceError, match=r'pip install "rosearch\[encoder\]"'):
        SentenceEncoder()
    monkeypatch.undo()
    pytest.importorskip("sentence_transformers")
    monkeypatch.setenv("ROSEARCH_ENCODER", str(folder_of(tmp_path / "a")))
    named = SentenceEncoder()
    # Equal files in another folder are the same encoder; other weights are not.
    assert SentenceEncoder(folder_of(tmp_path / "b")).settings == named.settings
    assert SentenceEncoder(folder_of(tmp_path / "c", b"v")).settings != named.settings
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingResourceError, match="holds no sentence encoder"):
        SentenceEncoder(tmp_path / "empty")


def test_an_encoder_that_cannot_be_had_is_named_with_its_command() -> None:
    pytest.importorskip("sentence_transformers")
    with pytest.raises(MissingResourceError, match=r"S\('nobody/no-such-encoder'\)"):
        SentenceEncoder("nobody/no-such-encoder")


@pytest.mark.slow
def test_a_real_encoder(
    tiny_bert: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tiny random one in a folder, through sentence-transformers."""
    pytest.importorskip("sentence_transformers")
    tiny_bert().bert.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    encoder = SentenceEncoder(tmp_path / "model", cache=tmp_path / "cache")
    pairs = [("a good film .", "a bad film ."), ("a good film .", "what a movie")]
    found = encoder.answer(pairs)
    assert all(-1 <= value <= 1 for value in found)
    assert found[0] != found[1]
    again = SentenceEncoder(tmp_path / "model", cache=tmp_path / "cache")
    monkeypatch.setattr(again, "_load", None)  # neither loaded nor run
    assert again.answer(pairs) == found
    assert again.computed == 0
