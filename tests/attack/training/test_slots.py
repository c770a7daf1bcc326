"""Replacements in texts that truncation cuts: rows are those of the perturbed texts."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import ByT5Tokenizer

from rosearch import encodings
from rosearch.attack import ModelVictim, WordReplacements
from rosearch.attack.text import AttackedInput
from rosearch.data import Text, TextDataset
from rosearch.distill import WordPerturbation
from rosearch.distill.robust.word_perturbation import WordPerturbationHook
from rosearch.distill.training.hooks import Batch
from rosearch.encode import EncodedTokenizer
from rosearch.tokens import TokenizedText, collate, tokenize
from tests.attack.synonyms import Misspelt, Synonyms

LONG = "the good film , a dull plot , its cast , very music , the script , bad movie was weak ."
"""Replaceable words near both ends, and more tokens than rows may have."""
LIMIT = 11


class Undecided(torch.nn.Linear):
    """A classifier that gives all texts the same answer."""

    def forward(self, input_ids: torch.Tensor, attention_mask: Any, **_: Any) -> Any:
        return SimpleNamespace(logits=torch.zeros(len(input_ids), 2))


class Reading(torch.nn.Module):
    """Any model with token vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = self
        self.token_scores = None
        self.table = torch.nn.Embedding(2000, 2)
        self.inner, self.shape = 2, self

    def vectors(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = self.table(ids)
        return vectors


def perturbed_rows(text: Text, tokenizer: Any, side: int, *, tries: int) -> set[TokenizedText]:
    """The rows that random replacements make of a text in training."""
    source = WordReplacements([Synonyms(), Misspelt()], attacked_side=side)
    choices = source.choices(TextDataset([text], [0]), tokenizer, max_length=LIMIT)
    hook = WordPerturbationHook(
        WordPerturbation(source, start=1.0, ramp=0.0, learnt=0.0),
        choices,
        pad_id=0,
        max_length=LIMIT,
    )
    (row,) = tokenize(tokenizer, [text], max_length=LIMIT)
    batch = Batch(collate([row], pad_id=0), [row], np.array([0]))
    found: set[TokenizedText] = set()

    def backward(batch: Batch, share: float) -> torch.Tensor:
        found.update(batch.rows)
        return torch.zeros(())

    for seed in range(tries):
        torch.manual_seed(seed)
        hook.accumulate(Reading(), batch, 1.0, backward=backward, progress=1.0)
    return found


def expected_rows(text: Text, tokenizer: Any, side: int) -> set[TokenizedText]:
    """The rows of all combinations of replacements of words that an attack sees."""
    one = AttackedInput(text, side)
    visible = ModelVictim(Undecided(1, 1), tokenizer, max_length=LIMIT).visible(one, one.words)
    options: list[Sequence[str]] = [
        [word, *Synonyms().propose(word), *Misspelt().propose(word)] if k in visible else [word]
        for k, word in enumerate(one.words.words)
    ]
    texts = []
    for chosen in itertools.product(*options):
        words = one.words
        for k, word in enumerate(chosen):
            words = words.replace(k, word)
        texts.append(one.whole(words.text))
    return set(tokenize(tokenizer, texts, max_length=LIMIT))


@pytest.mark.parametrize("cut", ["right", "left"])
@pytest.mark.parametrize("kind", ["text", "first", "second", "full"])
def test_rows_of_cut_texts_are_those_of_the_perturbed_texts(
    tokenizer: Any, kind: str, cut: str
) -> None:
    own = copy.deepcopy(tokenizer)
    own.truncation_side = cut
    text: Text = {
        "text": LONG,
        "first": (LONG, "a film"),
        "second": ("a film", LONG),
        "full": "a good film , and a dull part , moving",
    }[kind]
    side = 0 if kind == "first" else 1
    found = perturbed_rows(text, own, side, tries=60)
    assert len(found) > 10
    assert found <= expected_rows(text, own, side)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("cut", ["right", "left"])
def test_pairs_of_which_both_texts_are_cut(tokenizer: Any, cut: str, side: int) -> None:
    own = copy.deepcopy(tokenizer)
    own.truncation_side = cut
    found = perturbed_rows((LONG, LONG), own, side, tries=30)
    assert len(found) > 1
    assert all(len(row.ids) == LIMIT for row in found)
    assert found <= expected_rows((LONG, LONG), own, side)


def test_tokens_that_are_bytes() -> None:
    tokenizer = ByT5Tokenizer(model_max_length=64)
    found = perturbed_rows(LONG, tokenizer, 1, tries=60)
    assert len(found) > 5
    assert found <= expected_rows(LONG, tokenizer, 1)


def test_words_that_the_cut_hides_are_not_replaced(tokenizer: Any) -> None:
    text = "it was there and so it went on and on until the end , which was good"
    source = WordReplacements([Synonyms(), Misspelt()])
    data = TextDataset([text, "good " + text], [0, 1])
    made = source.choices(data, tokenizer, max_length=LIMIT)
    assert made.first_slots.tolist() == [0, 0, 1]


def test_an_encoding_in_front(tokenizer: Any, dataset: TextDataset) -> None:
    encoding = encodings.get("spelling").fit(dataset)
    encoded = EncodedTokenizer.wrap(tokenizer, encoding)
    found = perturbed_rows(LONG, encoded, 1, tries=60)
    assert len(found) > 5
    assert found <= expected_rows(LONG, encoded, 1)
