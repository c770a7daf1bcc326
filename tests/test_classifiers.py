"""Whether tokenizers fit models, and which texts may share a batch."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import (
    AutoTokenizer,
    BartConfig,
    BartForSequenceClassification,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    BigBirdConfig,
    BigBirdForSequenceClassification,
    FNetConfig,
    FNetForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    PreTrainedTokenizerFast,
)

from rosearch.attack import RobustnessEvaluator
from rosearch.classifiers import (
    accuracy,
    check_texts,
    check_tokenizer,
    embedding_rows,
    load_classifier,
)
from rosearch.data import TextDataset
from rosearch.distill import Teacher
from rosearch.errors import ArgumentError, DataError
from rosearch.tokens import Sharing, predict, tokenize

LENGTH = 64


def gpt2(tokenizer: Any, pad: int | None) -> Any:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=1, n_head=2, n_positions=LENGTH,
        pad_token_id=pad, bos_token_id=2, eos_token_id=3,
    )  # fmt: skip
    return GPT2ForSequenceClassification(config).eval()


def fnet(tokenizer: Any, pad: int | None) -> Any:
    torch.manual_seed(0)
    config = FNetConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, intermediate_size=32,
        max_position_embeddings=LENGTH, pad_token_id=pad, initializer_range=0.5,
    )  # fmt: skip
    return FNetForSequenceClassification(config).eval()


def alone(model: Any, tokenizer: Any, texts: Any) -> np.ndarray:
    rows = [tokenizer(text, return_tensors="pt")["input_ids"] for text in texts]
    with torch.inference_mode():
        return torch.cat([model(row).logits for row in rows]).numpy()


@pytest.mark.parametrize(
    ("make", "pad", "expected"),
    [
        (gpt2, 0, Sharing.ANY),
        (gpt2, 3, Sharing.EQUAL),  # reads the last token that is not 3
        (fnet, 0, Sharing.EQUAL),
    ],
)
@pytest.mark.parametrize("side", ["left", "right"])
def test_answers_are_those_to_texts_alone(
    make: Callable[..., Any], pad: int, expected: Sharing, side: str, tokenizer: Any,
    dataset: TextDataset, tmp_path: Path,
) -> None:  # fmt: skip
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.padding_side = side
    model = make(tokenizer, pad)
    assert check_tokenizer(model, tokenizer, max_length=LENGTH) is expected
    texts = dataset.texts[:40]
    wanted = alone(model, tokenizer, texts)
    teacher = Teacher(model, tokenizer, cache_dir=tmp_path)
    some = TextDataset(texts, dataset.labels[:40])
    np.testing.assert_allclose(teacher.logits(some, progress=False), wanted, atol=1e-5)
    victim = RobustnessEvaluator("deepwordbug", some, examples=3).victim(model, tokenizer)
    chances = torch.softmax(torch.tensor(wanted), 1).numpy()
    np.testing.assert_allclose(victim.probabilities(texts), chances, atol=1e-5)


def test_a_teacher_heeds_a_padding_token_that_is_set_later(
    tokenizer: Any, dataset: TextDataset, tmp_path: Path
) -> None:
    model = gpt2(tokenizer, 0)
    teacher = Teacher(model, tokenizer, cache_dir=tmp_path)
    teacher.logits(dataset, progress=False)
    model.config.pad_token_id = 3
    wanted = alone(model, tokenizer, dataset.texts)
    np.testing.assert_allclose(teacher.logits(dataset, progress=False), wanted, atol=1e-5)


def test_where_a_batch_decides_every_answer_texts_are_read_one_by_one(
    tiny_bert: Callable[..., Any], tokenizer: Any, dataset: TextDataset
) -> None:
    class Averaged(nn.Module):
        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            return hidden - hidden.mean(dim=0) / 2

    model = tiny_bert()
    model.dropout = Averaged()
    assert check_tokenizer(model, tokenizer, max_length=LENGTH) is Sharing.NONE
    texts = dataset.texts[:9]
    rows = tokenize(tokenizer, texts, max_length=LENGTH)
    found = predict(model, rows, pad_id=0, sharing=Sharing.NONE)
    np.testing.assert_allclose(found, alone(model, tokenizer, texts), atol=1e-6)


def test_a_model_that_needs_the_padding_token_says_what_to_set(
    tokenizer: Any, dataset: TextDataset, tmp_path: Path
) -> None:
    model = gpt2(tokenizer, None)
    for use in (
        lambda: Teacher(model, tokenizer, cache_dir=tmp_path),
        lambda: RobustnessEvaluator("deepwordbug", dataset, examples=3).victim(model, tokenizer),
        lambda: accuracy(model, dataset, tokenizer),
    ):
        with pytest.raises(DataError, match="pad_token_id = 0"):
            use()


def test_attention_that_changes_with_earlier_texts_is_refused(tokenizer: Any) -> None:
    torch.manual_seed(0)
    config = BigBirdConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=256, attention_type="block_sparse",
        block_size=8, num_random_blocks=1, initializer_range=0.5,
    )  # fmt: skip
    model = BigBirdForSequenceClassification(config).eval()
    with pytest.raises(DataError, match="original_full"):
        check_tokenizer(model, tokenizer, max_length=256)


def test_the_trial_changes_neither_modes_nor_random_numbers(
    tiny_bert: Callable[..., Any], tokenizer: Any
) -> None:
    model = tiny_bert().train()
    draws = []
    for tried in (False, True):
        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002
        if tried:
            check_tokenizer(model, tokenizer, max_length=LENGTH)
        draws.append((torch.rand(3).tolist(), np.random.rand(3).tolist()))  # noqa: NPY002
    assert draws[0] == draws[1]
    assert all(module.training for module in model.modules())


def test_a_folder_without_tokenizer_files_is_refused(
    tiny_bert: Callable[..., Any], dataset: TextDataset, tmp_path: Path
) -> None:
    tiny_bert().save_pretrained(tmp_path)
    try:
        AutoTokenizer.from_pretrained(tmp_path)
    except Exception:  # noqa: BLE001, before version 5 transformers refuses, with errors of any kind
        pytest.skip("transformers refuses such a folder")
    with pytest.raises(DataError, match="no vocabulary"):
        Teacher.from_pretrained(tmp_path)
    with pytest.raises(DataError, match="no vocabulary"):
        RobustnessEvaluator("deepwordbug", dataset, examples=3).victim(
            tiny_bert(), AutoTokenizer.from_pretrained(tmp_path)
        )


@pytest.mark.parametrize(
    ("more", "said"),
    [(-1, "tokens, and the model has vectors"), (400, "has only"), (0, None), (60, None)],
)
def test_number_of_tokens_and_rows(
    more: int, said: str | None, tiny_bert: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    rows = len(tokenizer) + more
    assert len(tokenizer) + 60 == 192  # a multiple of 64
    model = tiny_bert()
    model.resize_token_embeddings(rows, mean_resizing=False)
    assert embedding_rows(model) == rows
    if said is None:
        check_tokenizer(model, tokenizer, max_length=LENGTH)
        return
    with pytest.raises(DataError, match=said):
        Teacher(model, tokenizer, cache_dir=tmp_path)


def test_added_tokens_without_vectors_are_refused(
    tiny_bert: Callable[..., Any], tokenizer: Any, dataset: TextDataset, tmp_path: Path
) -> None:
    more = copy.deepcopy(tokenizer)
    more.add_tokens(["<unused>"])
    for use in (
        lambda: Teacher(tiny_bert(), more, cache_dir=tmp_path),
        lambda: RobustnessEvaluator("deepwordbug", dataset, examples=3).victim(tiny_bert(), more),
        lambda: accuracy(tiny_bert(), dataset, more),
    ):
        with pytest.raises(DataError, match="133 tokens, and the model has vectors for 132"):
            use()
    special = copy.deepcopy(tokenizer)  # which texts do not have
    special.add_special_tokens({"bos_token": "<s>"})
    Teacher(tiny_bert(), special, cache_dir=tmp_path).logits(dataset, progress=False)


def test_texts_of_unknown_words_only_are_refused(
    tiny_bert: Callable[..., Any], dataset: TextDataset, tokenizer: Any, tmp_path: Path
) -> None:
    texts = [text.translate({k: k + 0x3B0 for k in range(97, 123)}) for text in dataset.texts]
    greek = TextDataset(
        [" ".join(word for word in text.split() if word.isalpha()) for text in texts],
        dataset.labels, classes=dataset.classes,
    )  # fmt: skip
    with pytest.raises(DataError, match="knows no part of 100% of the words"):
        Teacher(tiny_bert(), tokenizer, cache_dir=tmp_path).logits(greek, progress=False)
    with pytest.raises(DataError, match="knows no part of 100% of the words"):
        RobustnessEvaluator("deepwordbug", greek, examples=20).victim(tiny_bert(), tokenizer)


def test_unknown_words_are_found_where_only_the_rules_name_their_token() -> None:
    backend = Tokenizer(models.WordLevel({"[PAD]": 0, "?": 1, "one": 2}, unk_token="?"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]")
    texts = [" ".join(["word"] * k) for k in range(1, 30)]
    with pytest.raises(DataError, match="29 different texts"):
        check_texts(tokenizer, texts, max_length=LENGTH)


def test_a_common_beginning_as_long_as_the_limit_is_refused(
    tokenizer: Any, dataset: TextDataset
) -> None:
    texts = ["the film was " * 10 + text for text in dataset.texts]
    with pytest.raises(DataError, match="Raise max_length"):
        check_texts(tokenizer, texts, max_length=16)
    check_texts(tokenizer, texts, max_length=LENGTH)


def test_few_or_equal_texts_are_no_sign(tokenizer: Any) -> None:
    check_texts(tokenizer, ["ω", "ψ"], max_length=LENGTH)
    check_texts(tokenizer, ["ω"] * 50, max_length=LENGTH)
    check_texts(tokenizer, ["", "...", "\ud800"], max_length=LENGTH)


@pytest.mark.parametrize("kind", ["masked", "hidden"])
def test_models_that_are_no_classifiers_are_refused(
    kind: str, tokenizer: Any, dataset: TextDataset
) -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(tokenizer), intermediate_size=32, **sizes)
    model = (BertForMaskedLM if kind == "masked" else BertModel)(config).eval()
    with pytest.raises(DataError, match="no sequence classifier: its logits"):
        RobustnessEvaluator("deepwordbug", dataset, examples=3).victim(model, tokenizer)


def test_a_model_that_can_read_nothing_is_refused(
    tiny_bert: Callable[..., Any], tokenizer: Any
) -> None:
    model = tiny_bert()
    model.bert.encoder.layer[0].intermediate.dense = nn.Linear(7, 7)
    with pytest.raises(DataError, match="cannot read even a few letters: mat1 and mat2"):
        check_tokenizer(model, tokenizer, max_length=LENGTH)


def test_another_padding_token_is_refused_where_it_is_not_looked_for(
    tiny_bert: Callable[..., Any], tokenizer: Any
) -> None:
    model = tiny_bert()
    model.config.pad_token_id = 3
    with pytest.raises(DataError, match=r"has the id 0, and that of BertFor.* the id 3"):
        check_tokenizer(model, tokenizer, max_length=LENGTH)
    model.config.pad_token_id = None
    assert check_tokenizer(model, tokenizer, max_length=LENGTH) is Sharing.ANY


def test_words_without_tokens_are_found_between_known_signs(
    tiny_bert: Callable[..., Any], tokenizer: Any
) -> None:
    texts = [f"{'παιδι' * k} , . ! {k} film" for k in range(1, 40)]
    check_texts(tokenizer, texts, max_length=LENGTH)  # half of the words are known
    with pytest.raises(DataError, match="knows no part of 100% of the words of 39 texts"):
        check_texts(tokenizer, [text[:-5] for text in texts], max_length=LENGTH)


@pytest.mark.parametrize("wrong", ["bert-base", None, Tokenizer(models.BPE())])
def test_other_tokenizers_than_those_of_transformers_are_refused(
    wrong: Any, tiny_bert: Callable[..., Any], dataset: TextDataset, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match="tokenizer must be a tokenizer of transformers"):
        Teacher(tiny_bert(), wrong, cache_dir=tmp_path)
    if wrong is not None:
        with pytest.raises(ArgumentError, match="tokenizer must be a tokenizer of transformers"):
            RobustnessEvaluator("deepwordbug", dataset).victim(tiny_bert(), wrong)


def test_folders_are_loaded_if_they_hold_a_trained_classifier(
    tiny_bert: Callable[..., Any], tokenizer: Any, tmp_path: Path
) -> None:
    for name, model in (("right", tiny_bert()), ("encoder", tiny_bert().bert)):
        model.save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
    model, own = load_classifier(tmp_path / "right")
    assert not model.training
    assert own.get_vocab() == tokenizer.get_vocab()
    with pytest.raises(DataError, match=r"no weights for classifier.bias, classifier.weight"):
        load_classifier(tmp_path / "encoder")
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        load_classifier(tmp_path / "none")
    config = json.loads((tmp_path / "right" / "config.json").read_text())
    (tmp_path / "right" / "config.json").write_text(json.dumps({**config, "hidden_size": 48}))
    with pytest.raises(DataError, match=r"do not fit its config\.json"):
        load_classifier(tmp_path / "right")


def test_texts_with_end_tokens_in_them_have_batches_of_their_own(tokenizer: Any) -> None:
    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=len(tokenizer), d_model=32, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32,
        decoder_ffn_dim=32, max_position_embeddings=LENGTH, pad_token_id=0, eos_token_id=3,
        bos_token_id=2, decoder_start_token_id=3, init_std=0.5,
    )  # fmt: skip
    model = BartForSequenceClassification(config).eval()
    texts = ["good film", "bad [SEP] film", "one [SEP] two [SEP] three", "moving story"] * 3
    assert tokenizer(texts[1])["input_ids"].count(3) == 2
    rows = tokenize(tokenizer, texts, max_length=LENGTH)
    expected = alone(model, tokenizer, texts)
    np.testing.assert_allclose(predict(model, rows, pad_id=0), expected, atol=1e-4)
