"""Tokenizers are read back as they were saved."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import normalizers, pre_tokenizers
from transformers import AutoTokenizer, BertTokenizerFast, PreTrainedTokenizerFast, pipeline

import rosearch as rs
from rosearch.distill.teacher.saving import save_model
from rosearch.encode import EncodedTokenizer
from rosearch.errors import DataError
from rosearch.student.tokenizer_files import save_tokenizer
from tests.encode.samples import registered
from tests.encode.table import Table, table

TEXT = "What a BAD film-x2, né!"


@pytest.fixture
def bert_tokenizer(tmp_path: Path) -> Any:
    """A tokenizer of BERT's own class."""
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] a what film bad good ##x x - , ! 2 e n ##e ##2".split()
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    made = BertTokenizerFast.from_pretrained(tmp_path, model_max_length=20)
    assert type(made) is not PreTrainedTokenizerFast
    return made


def with_normalizer(tokenizer: Any) -> Any:
    tokenizer.backend_tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Replace("BAD", "good"), normalizers.BertNormalizer()]
    )
    return tokenizer


def with_pre_tokenizer(tokenizer: Any) -> Any:
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def student(tokenizer: Any) -> Any:
    genome = rs.templates.bigru(width=16, embedding_width=8)
    config = rs.StudentConfig(genome, vocab_size=len(tokenizer), max_position_embeddings=64)
    torch.manual_seed(0)
    made = rs.StudentForSequenceClassification(config).eval()
    made.tokenizer = tokenizer
    return made


@pytest.mark.parametrize("change", [with_normalizer, with_pre_tokenizer])
@pytest.mark.parametrize("kind", ["student", "teacher"])
def test_components_of_ones_own_survive(
    bert_tokenizer: Any, tiny_bert: Any, change: Any, kind: str, tmp_path: Path
) -> None:
    before = bert_tokenizer(TEXT)["input_ids"]
    own = change(bert_tokenizer)
    expected = own(TEXT, return_offsets_mapping=True)
    assert expected["input_ids"] != before
    folder = tmp_path / "saved"
    if kind == "student":
        student(own).save_pretrained(folder)
        loaded = rs.StudentForSequenceClassification.from_pretrained(folder).tokenizer
    else:
        save_model(tiny_bert(), own, folder)
        loaded = AutoTokenizer.from_pretrained(folder)
    assert loaded(TEXT, return_offsets_mapping=True) == expected
    assert loaded.backend_tokenizer.to_str() == own.backend_tokenizer.to_str()
    assert loaded.special_tokens_map == own.special_tokens_map
    assert loaded.model_max_length == 20
    assert type(own) is type(bert_tokenizer)


@pytest.mark.parametrize("change", [with_normalizer, with_pre_tokenizer])
def test_components_of_a_folder_are_kept_or_refused(
    bert_tokenizer: Any, tiny_bert: Any, change: Any, tmp_path: Path
) -> None:
    own = change(bert_tokenizer)
    model = tiny_bert()
    model.resize_token_embeddings(len(own))
    model.save_pretrained(tmp_path)
    own.save_pretrained(tmp_path)
    data = rs.TextDataset([TEXT, "a film"], [0, 1])

    def loaded() -> Any:
        return rs.Teacher.from_pretrained(tmp_path).tokenizer

    def fine_tuned() -> Any:
        folder = tmp_path / "tuned"
        settings: Any = {"save_to": folder, "epochs": 1, "progress": False}
        return rs.Teacher.fine_tune(tmp_path, data, data, **settings).tokenizer

    def of_a_student() -> Any:
        folder = tmp_path / "student"
        student(bert_tokenizer).save_pretrained(folder)
        for name in ("tokenizer.json", "tokenizer_config.json"):  # as a Trainer writes them
            (folder / name).write_text((tmp_path / name).read_text())
        return rs.StudentForSequenceClassification.from_pretrained(folder).tokenizer

    kept = AutoTokenizer.from_pretrained(tmp_path)(TEXT) == own(TEXT)  # transformers 4
    for load in (loaded, fine_tuned, of_a_student):
        if not kept:
            with pytest.raises(DataError, match=r"tokenizer\.json says: .* Save it again"):
                load()
    PreTrainedTokenizerFast.from_pretrained(tmp_path).save_pretrained(tmp_path)
    for load in (loaded, fine_tuned, of_a_student):
        assert load()(TEXT)["input_ids"] == own(TEXT)["input_ids"]


def test_a_change_after_the_first_saving_survives(bert_tokenizer: Any, tmp_path: Path) -> None:
    config = student(bert_tokenizer).config
    config.save_pretrained(tmp_path)
    for tokenizer in (bert_tokenizer, with_normalizer(bert_tokenizer)):
        expected = tokenizer(TEXT)
        save_tokenizer(tokenizer, tmp_path, config)
        assert AutoTokenizer.from_pretrained(tmp_path)(TEXT) == expected


def test_class_stays_if_it_reads_the_same(bert_tokenizer: Any, tmp_path: Path) -> None:
    config = student(bert_tokenizer).config
    config.save_pretrained(tmp_path)
    save_tokenizer(bert_tokenizer, tmp_path, config)
    assert type(AutoTokenizer.from_pretrained(tmp_path)) is type(bert_tokenizer)


def test_second_saving_does_not_load_again(
    bert_tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = student(bert_tokenizer).config
    bert_tokenizer("a film", truncation=True, padding=True)
    save_tokenizer(bert_tokenizer, tmp_path, config)
    monkeypatch.delattr(AutoTokenizer, "from_pretrained")
    bert_tokenizer("a film", truncation=True, max_length=3)
    save_tokenizer(bert_tokenizer, tmp_path, config)
    with pytest.raises(AttributeError):
        save_tokenizer(with_normalizer(bert_tokenizer), tmp_path, config)


class TestEncoded:
    @pytest.fixture
    def encoded(self, tokenizer: Any) -> Any:
        with registered(table=Table):
            yield EncodedTokenizer.wrap(tokenizer, table(goo_d="good", teh="the"))

    @pytest.mark.parametrize("kind", ["student", "teacher"])
    def test_pipeline_reads_canonical_texts(
        self, encoded: Any, trained_bert: Any, kind: str, tmp_path: Path
    ) -> None:
        model = student(encoded) if kind == "student" else trained_bert
        if kind == "student":
            model.save_pretrained(tmp_path)
        else:
            save_model(model, encoded, tmp_path)
        classify = pipeline("text-classification", model=str(tmp_path), top_k=None)
        assert type(classify.tokenizer) is EncodedTokenizer
        assert classify("teh film is goo d .") == classify("the film is good .")
        with torch.inference_mode():
            logits = model(**encoded.plain("the film is good .", return_tensors="pt")).logits
        (answers,) = classify(["teh film is goo d ."])
        scores = {answer["label"]: answer["score"] for answer in answers}
        expected = logits.softmax(-1)[0].tolist()
        assert [scores[model.config.id2label[k]] for k in (0, 1)] == pytest.approx(expected)

    def test_student_keeps_its_encoding(self, encoded: Any, tmp_path: Path) -> None:
        student(encoded).save_pretrained(tmp_path)
        loaded = rs.StudentForSequenceClassification.from_pretrained(tmp_path)
        assert loaded.tokenizer.encoding.fingerprint == encoded.encoding.fingerprint

    @pytest.mark.parametrize("kind", ["student", "teacher"])
    def test_plain_tokenizer_replaces_an_encoded_one(
        self, encoded: Any, tokenizer: Any, tiny_bert: Any, kind: str, tmp_path: Path
    ) -> None:
        for saved in (encoded, tokenizer):
            if kind == "student":
                student(copy.copy(saved)).save_pretrained(tmp_path)
            else:
                save_model(tiny_bert(), saved, tmp_path)
            assert (tmp_path / "encoding.json").exists() == (saved is encoded)
        assert AutoTokenizer.from_pretrained(tmp_path)("teh film") == tokenizer("teh film")
