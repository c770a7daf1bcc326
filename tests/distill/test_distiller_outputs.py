"""Losses on hidden states with teachers of several architectures: they work or are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from rosearch.data import TextDataset
from rosearch.distill import Distiller, Teacher, Wanted
from rosearch.errors import DataError
from rosearch.space import templates

_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
          "intermediate_size": 48, "max_position_embeddings": 70}  # fmt: skip
_STACKS = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 4,
           "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48,
           "max_position_embeddings": 70}  # fmt: skip
_ENDS = {"bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": 3}
FAMILIES: dict[str, dict[str, Any]] = {
    "Bart": {**_STACKS, **_ENDS},
    "T5": {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, **_ENDS},
    "Funnel": {"d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 48, "block_sizes": [1, 1],
               "num_decoder_layers": 1},
    "Longformer": {**_SIZES, "attention_window": 8, "sep_token_id": 3},
    "XLM": {"emb_dim": 32, "n_layers": 2, "n_heads": 4, "max_position_embeddings": 70},
}  # fmt: skip
REFUSED = {
    ("Bart", "hidden_states"): "encoder-decoder",
    ("Bart", "pooled_cosine"): "encoder-decoder",
    ("Bart", "relations"): "encoder-decoder",
    ("T5", "hidden_states"): "encoder-decoder",
    ("T5", "pooled_cosine"): "encoder-decoder",
    ("T5", "relations"): "encoder-decoder",
    ("Funnel", "hidden_states"): "pools or pads texts between its layers",
    ("Funnel", "relations"): "no attention module",
    ("Longformer", "relations"): "pools or pads texts between its layers",
}


def _teacher(family: str, tokenizer: Any, folder: Path) -> Teacher:
    config = getattr(transformers, f"{family}Config")(
        vocab_size=len(tokenizer), pad_token_id=0, num_labels=2, **FAMILIES[family]
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = getattr(transformers, f"{family}ForSequenceClassification")(config)
    return Teacher(model, tokenizer, cache_dir=folder)


@pytest.mark.filterwarnings("ignore:.*always answering the most frequent")
@pytest.mark.parametrize("loss", ["hidden_states", "pooled_cosine", "relations", "soft_labels"])
@pytest.mark.parametrize("family", FAMILIES)
def test_losses_work_or_are_refused_at_construction(
    family: str, loss: str, tokenizer: Any, dataset: TextDataset, tmp_path: Path
) -> None:
    teacher, data = _teacher(family, tokenizer, tmp_path), dataset[:10]

    def distiller() -> Distiller:
        return Distiller(teacher, data, data, epochs=1, progress=False, losses={loss: 1.0})

    if (family, loss) in REFUSED:
        with pytest.raises(DataError, match=REFUSED[family, loss]):
            distiller()
        assert not list(tmp_path.glob("teachers/*/outputs"))
    else:
        result = distiller().distill(templates.transformer(layers=1, width=16))
        assert 0 < result.history[0].loss < float("inf")


def test_a_teacher_without_hidden_states_is_refused(
    tiny_bert: Callable[..., Any], tokenizer: Any, dataset: TextDataset, tmp_path: Path
) -> None:
    model = tiny_bert()
    whole = model.forward

    def logits_only(input_ids: Any, attention_mask: Any, output_hidden_states: Any = None) -> Any:
        return type(whole(input_ids))(logits=whole(input_ids, attention_mask).logits)

    model.forward = logits_only
    teacher = Teacher(model, tokenizer, cache_dir=tmp_path)
    with pytest.raises(DataError, match="returns 0 hidden states instead of 3"):
        Distiller(teacher, dataset, dataset, losses={"pooled_cosine": 1.0})


def test_the_check_stores_nothing_and_logits_need_none(
    fresh: Callable[..., Teacher], dataset: TextDataset, counted: list[int]
) -> None:
    teacher = fresh()
    teacher.check_outputs(dataset, Wanted())
    assert counted == []
    teacher.check_outputs(dataset, Wanted(hidden_states=(1,)))
    assert counted == [2]
    assert teacher.cache_size(dataset[:1], Wanted(hidden_states=(1,))) > 0


def test_a_teacher_without_token_vectors_can_have_no_students(
    tiny_bert: Callable[..., Any],
    tokenizer: Any,
    dataset: TextDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny_bert()

    def none() -> Any:  # as in CANINE, which hashes characters
        raise NotImplementedError

    monkeypatch.setattr(model, "get_input_embeddings", none)
    teacher = Teacher(model, tokenizer, cache_dir=tmp_path)
    assert teacher.logits(dataset[:4], progress=False).shape == (4, 2)
    with pytest.raises(DataError, match=r"token vectors.*'bert' has none"):
        Distiller(teacher, dataset, dataset)


def test_dev_texts_that_the_tokenizer_does_not_know_are_refused(
    fresh: Callable[..., Teacher], dataset: TextDataset
) -> None:
    words = ["\u03c0\u03b1\u03b9\u03b4\u03b9" + "\u03b1" * (k % 9) for k in range(len(dataset))]
    unknown = dataset.with_texts(f"{word} {word}" for word in words)
    with pytest.raises(DataError, match="knows no part of"):
        Distiller(fresh(), dataset, unknown)
