"""Digests of models by their content."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from rosearch.attack.resources.model_identity import digest_of_model


class PythonTokenizer:
    """A tokenizer without a backend of the package tokenizers."""

    def __init__(self, **settings: Any) -> None:
        self.init_kwargs = {"lower": True, "special": {"b", "a"}, **settings}
        self.vocabulary = {"a": 0, "b": 1}

    def get_vocab(self) -> dict[str, int]:
        return self.vocabulary


def test_python_tokenizers_are_identified_by_vocabulary_and_settings() -> None:
    model = torch.nn.Linear(2, 1)
    plain = digest_of_model(model, PythonTokenizer())
    moved = PythonTokenizer(name_or_path="elsewhere", vocab_file="x")
    assert digest_of_model(model, moved) == plain
    assert digest_of_model(model, PythonTokenizer(lower=False)) != plain
    other = PythonTokenizer()
    other.vocabulary = {"b": 0, "a": 1}
    assert digest_of_model(model, other) != plain
    assert digest_of_model(model) != plain


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (torch.nn.ReLU(), torch.nn.Tanh()),
        (torch.nn.Softmax(dim=0), torch.nn.Softmax(dim=1)),
        (torch.nn.LayerNorm(2, eps=1e-5), torch.nn.LayerNorm(2, eps=1e-2)),
    ],
)
def test_modules_with_equal_weights_but_other_settings_differ(
    first: torch.nn.Module, second: torch.nn.Module
) -> None:
    assert digest_of_model(first) == digest_of_model(copy.deepcopy(first).eval())
    assert digest_of_model(first) != digest_of_model(second)
