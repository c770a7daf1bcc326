"""A small training for the tests of the loop: students of the sentences, by their true labels."""

from __future__ import annotations

from typing import Any

import torch

from rosearch.data import TextDataset
from rosearch.distill import Epoch, Optimization, fit
from rosearch.distill.losses import HardLabels
from rosearch.space import templates
from rosearch.student import StudentConfig, StudentForSequenceClassification
from rosearch.tokens import tokenize

VOCABULARY = 1200


def student(
    kind: str = "bag_of_words", *, dropout: float = 0.1, seed: int = 0
) -> StudentForSequenceClassification:
    genome = getattr(templates, kind)(width=16, embedding_width=16)
    config = StudentConfig(genome, vocab_size=VOCABULARY, dropout=dropout, num_labels=2)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return StudentForSequenceClassification(config)


def train(
    model: torch.nn.Module,
    tokenizer: Any,
    dataset: TextDataset,
    *,
    objective: torch.nn.Module | None = None,
    seed: int = 0,
    until: int | None = None,
    checkpoint: Any = None,
    callbacks: Any = (),
    name: str = "training",
    **settings: Any,
) -> tuple[Epoch, ...]:
    """Train on the first 120 sentences, with the last 40 as dev."""
    rows = tokenize(tokenizer, dataset.texts, max_length=64)
    return fit(
        model,
        rows[:120],
        objective if objective is not None else HardLabels(dataset.labels[:120]),
        rows[160:],
        dataset.labels[160:],
        optimization=Optimization(**{"learning_rate": 1e-2, "epochs": 3, **settings}),
        pad_id=tokenizer.pad_token_id,
        seed=seed,
        until=until,
        checkpoint=checkpoint,
        callbacks=callbacks,
        name=name,
    )


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    """Whether all weights are equal to the last bit."""
    first, second = a.state_dict(), b.state_dict()
    return all(torch.equal(first[name], second[name]) for name in first)
