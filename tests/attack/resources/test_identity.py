"""What a model is, whatever it is called."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from rosearch.attack.resources.model_identity import digest_of_model


class Plain:
    """A tokenizer written in Python."""

    def __init__(self, **settings: Any) -> None:
        self.init_kwargs = {"lower": True, "special": {"b", "a"}, **settings}
        self.vocabulary = {"a": 0, "b": 1}

    def get_vocab(self) -> dict[str, int]:
        return self.vocabulary


def test_tokenizers_without_a_backend_are_known_by_vocabulary_and_settings() -> None:
    model = torch.nn.Linear(2, 1)
    plain = digest_of_model(model, Plain())
    assert digest_of_model(model, Plain(name_or_path="elsewhere", vocab_file="x")) == plain
    assert digest_of_model(model, Plain(lower=False)) != plain
    other = Plain()
    other.vocabulary = {"b": 0, "a": 1}
    assert digest_of_model(model, other) != plain
    assert digest_of_model(model) != plain


def test_a_backend_that_cannot_be_written_falls_back(tokenizer: Any) -> None:
    class Custom:
        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer, name)

        @property
        def backend_tokenizer(self) -> Any:
            raise AttributeError("parts written in Python")

    assert digest_of_model(torch.nn.Linear(2, 1), Custom())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (torch.nn.ReLU(), torch.nn.Tanh()),
        (torch.nn.Softmax(dim=0), torch.nn.Softmax(dim=1)),
        (torch.nn.LayerNorm(2, eps=1e-5), torch.nn.LayerNorm(2, eps=1e-2)),
    ],
)
def test_modules_of_equal_weights_are_told_apart(
    first: torch.nn.Module, second: torch.nn.Module
) -> None:
    assert digest_of_model(first) == digest_of_model(copy.deepcopy(first).eval())
    assert digest_of_model(first) != digest_of_model(second)
