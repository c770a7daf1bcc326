"""Log-likelihoods from language models."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from rosearch.attack.resources.language_models import LanguageModel
from rosearch.errors import ArgumentError, DataError, EvaluationError, MissingResourceError


@pytest.fixture(scope="module")
def network(tokenizer: Any) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = GPT2Config(
            vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, n_positions=64
        )
        return GPT2LMHeadModel(config)


def test_log_likelihoods_are_sums_over_tokens(network: Any, tokenizer: Any) -> None:
    texts = ["a good film .", "what a movie", "the plot", "good", ""]
    model = LanguageModel(network.train(), tokenizer, cache=False)
    found = model.answer(texts)
    assert network.training  # as it was
    network.eval()
    for text, value in zip(texts, found, strict=True):
        ids = tokenizer(text)["input_ids"]
        with torch.inference_mode():
            logits = network(input_ids=torch.tensor([ids])).logits[0].log_softmax(dim=-1)
        expected = sum(float(logits[k, token]) for k, token in enumerate(ids[1:]))
        assert value == pytest.approx(expected, abs=1e-3)


def test_tokenizer_and_configuration_identify_the_model(network: Any, tokenizer: Any) -> None:
    model = LanguageModel(network, tokenizer).settings
    shorter, cased = copy.deepcopy(tokenizer), copy.deepcopy(tokenizer)
    shorter.model_max_length = 8
    cased.backend_tokenizer.normalizer = None
    scaled = copy.deepcopy(network)
    scaled.config.layer_norm_epsilon = 0.5
    others = [(network, shorter), (network, cased), (scaled, tokenizer)]
    assert model not in [LanguageModel(*other).settings for other in others]
    assert LanguageModel(copy.deepcopy(network), copy.deepcopy(tokenizer)).settings == model
    # Use does not change the settings.
    tokenizer(["a", "a b"], padding=True, truncation=True, max_length=7)
    assert LanguageModel(network, tokenizer).settings == model


def test_errors(tokenizer: Any, network: Any) -> None:
    with pytest.raises(DataError, match="comes without a tokenizer"):
        LanguageModel(network)
    with pytest.raises(ArgumentError, match=r"language_model must be a name, .*got 3"):
        LanguageModel(3)
    with pytest.raises(MissingResourceError, match="cannot be loaded"):
        LanguageModel("/nowhere/at/all")
    with pytest.raises(EvaluationError, match="or NaN"):
        LanguageModel(lambda texts: [float("nan") for _ in texts]).answer(["a"])
