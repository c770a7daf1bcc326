"""Hugging Face models as victims."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from rosearch.attack import ModelVictim
from rosearch.attack.text import AttackedInput
from rosearch.errors import ArgumentError


def test_probabilities_equal_a_plain_forward_pass(
    trained_bert: Any, tokenizer: Any, dataset: Any, device: str
) -> None:
    trained_bert.to(device)
    texts = list(dataset.texts[:50])
    got = ModelVictim(trained_bert, tokenizer).probabilities(texts)
    inputs = tokenizer(texts, padding=True, return_tensors="pt").to(device)
    with torch.no_grad():
        expected = trained_bert(**inputs).logits.softmax(dim=1).cpu().numpy()
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert got.dtype == np.float32


def test_pairs_use_token_types(tiny_bert: Callable[..., Any], tokenizer: Any) -> None:
    model = tiny_bert()
    pairs = [("a good film", "a bad plot"), ("what a story", "the cast was very weak .")]
    inputs = tokenizer(*map(list, zip(*pairs, strict=True)), padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model(**inputs).logits.softmax(dim=1).numpy()
    got = ModelVictim(model, tokenizer).probabilities(pairs)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_each_distinct_row_is_computed_once(tiny_bert: Callable[..., Any], tokenizer: Any) -> None:
    victim = ModelVictim(tiny_bert(), tokenizer)
    # Tokenization ignores case, so these are two rows.
    out = victim.probabilities(["a good film", "A GOOD film", "a bad film", "a good film"])
    assert victim.forward_rows == 2
    assert (out[0] == out[1]).all()  # ties are exact
    again = victim.probabilities(["a bad  film", "a Good film"])
    assert victim.forward_rows == 2
    assert (again[0] == out[2]).all()


def test_visible_words_with_truncation_on_the_right(
    tiny_bert: Callable[..., Any], tokenizer: Any
) -> None:
    victim = ModelVictim(tiny_bert(), tokenizer, max_length=6)
    for text, seen in [
        ("a good film", 3),
        ("a good film was", 4),
        ("a good film was very good", 4),
    ]:
        attacked = AttackedInput(text)
        assert victim.visible(attacked, attacked.words) == range(seen)
    pair = AttackedInput(("a film", "a very good film was good"))
    assert len(victim.visible(pair, pair.words)) < 6


def test_visible_words_with_truncation_on_the_left(trained_bert: Any, tokenizer: Any) -> None:
    left = copy.deepcopy(tokenizer)
    left.truncation_side = "left"
    victim = ModelVictim(trained_bert, left, max_length=6)
    for text, seen in [
        ("a good film was", range(4)),
        ("a good film was very good", range(2, 6)),
        ("a good film was very good , !! .", range(6, 6)),
        ("a good film was very good ! ?", range(4, 6)),
    ]:
        attacked = AttackedInput(text)
        assert victim.visible(attacked, attacked.words) == seen
    pair = AttackedInput(("a film", "a very good film was good"))
    assert victim.visible(pair, pair.words).stop == 6
    assert victim.visible(pair, pair.words).start > 0


def test_padding_on_the_left(xlnet_tokenizer: Any, tiny_xlnet: Any, dataset: Any) -> None:
    texts = [*dataset.texts[:20], " ".join(dataset.texts[:3])]
    together = ModelVictim(tiny_xlnet, xlnet_tokenizer, token_budget=4096).probabilities(texts)
    inputs = xlnet_tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        expected = torch.softmax(tiny_xlnet(**inputs).logits, dim=1).numpy()
    np.testing.assert_allclose(together, expected, atol=1e-5)
    for text, row in zip(texts, together, strict=True):
        alone = ModelVictim(tiny_xlnet, xlnet_tokenizer).probabilities([text])
        np.testing.assert_allclose(alone[0], row, atol=1e-5)


def test_maximum_length_with_positions_offset_by_the_padding_id(tokenizer: Any) -> None:
    from transformers import RobertaConfig, RobertaForSequenceClassification

    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=20,
        pad_token_id=3,
        type_vocab_size=2,
    )
    unlimited = copy.deepcopy(tokenizer)
    unlimited.model_max_length = int(1e30)
    unlimited.pad_token = tokenizer.convert_ids_to_tokens(3)
    victim = ModelVictim(RobertaForSequenceClassification(config).eval(), unlimited)
    assert victim.tokens.max_length == 20 - 4
    text = "good film , " * 10
    assert len(victim.keys([text])[0].ids) == 16
    assert np.isfinite(victim.probabilities([text, "a film"])).all()
    attacked = AttackedInput(text)
    assert victim.visible(attacked, attacked.words) == range(10)  # 14 tokens, 4 of them commas


def test_model_without_config_uses_the_tokenizers_maximum_length(tokenizer: Any) -> None:
    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(len(tokenizer), 2)

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return SimpleNamespace(logits=self.table(input_ids).mean(dim=1))

    victim = ModelVictim(Plain(), tokenizer)
    assert victim.tokens.max_length == 64
    assert victim.probabilities(["a good film"]).shape == (1, 2)


@pytest.mark.parametrize("name", ["max_length", "token_budget"])
@pytest.mark.parametrize("number", [0, 1.5])
def test_invalid_numbers_are_rejected(
    tiny_bert: Callable[..., Any], tokenizer: Any, name: str, number: Any
) -> None:
    with pytest.raises(ArgumentError, match=f"{name} must be a whole number from [13]"):
        ModelVictim(tiny_bert(), tokenizer, **{name: number})


def test_out_of_memory_halves_the_token_budget(
    tiny_bert: Callable[..., Any], tokenizer: Any
) -> None:
    model = tiny_bert()
    plain = ModelVictim(model, tokenizer).probabilities(["a film", "a good plot", "the cast"])
    forward = model.forward

    def small(**inputs: Any) -> Any:
        if inputs["input_ids"].numel() > 8:
            raise torch.OutOfMemoryError("too large")
        return forward(**inputs)

    model.forward = small
    victim = ModelVictim(model, tokenizer, token_budget=64, max_length=8)
    got = victim.probabilities(["a film", "a good plot", "the cast"])
    np.testing.assert_allclose(got, plain, atol=1e-6)
    assert victim.token_budget < 64
    model.forward = lambda **_: (_ for _ in ()).throw(torch.OutOfMemoryError("always"))
    with pytest.raises(torch.OutOfMemoryError):
        victim.probabilities(["a story"])
