"""Training hooks: defaults, order of several hooks, extra texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from rosearch.data import TextDataset
from rosearch.distill import Optimization, fit
from rosearch.distill.losses import HardLabels
from rosearch.distill.training.hooks import Backward, Batch, Extra, TrainingHook
from rosearch.tokens import tokenize
from tests.distill.loop import same, student


def run(dataset: TextDataset, tokenizer: Any, hooks: list[TrainingHook]) -> tuple[Any, Any]:
    model = student()
    rows = tokenize(tokenizer, dataset.texts, max_length=64)
    labels = np.concatenate([dataset.labels[:64], dataset.labels[:8]])
    history = fit(
        model, rows[:64], HardLabels(labels), rows[160:], dataset.labels[160:],
        optimization=Optimization(1e-2, 2), pad_id=0, seed=0, hooks=hooks,
    )  # fmt: skip
    return model, history


def test_a_hook_without_methods_changes_nothing(dataset: TextDataset, tokenizer: Any) -> None:
    plain, _ = run(dataset, tokenizer, [])
    hooked, _ = run(dataset, tokenizer, [TrainingHook(), TrainingHook()])
    assert same(plain, hooked)


def test_the_first_hook_is_the_outermost(dataset: TextDataset, tokenizer: Any) -> None:
    shares: list[tuple[str, float]] = []

    class Halved(TrainingHook):
        def __init__(self, name: str, passes: int) -> None:
            self.name = name
            self.passes = passes

        def accumulate(
            self, model: Any, batch: Batch, share: float, *, backward: Backward, progress: float
        ) -> torch.Tensor:
            shares.append((self.name, share))
            parts = [backward(batch, share / self.passes) for _ in range(self.passes)]
            return torch.stack(parts).sum()

    run(dataset, tokenizer, [Halved("outer", 2), Halved("inner", 1)])
    assert shares[:3] == [("outer", 1.0), ("inner", 0.5), ("inner", 0.5)]


def test_extra_texts_and_epochs_that_do_not_count(dataset: TextDataset, tokenizer: Any) -> None:
    class More(TrainingHook):
        def start_epoch(self, number: int, describe: Callable[[str], object]) -> Extra:
            rows = tokenize(tokenizer, dataset.texts[:8], max_length=64)
            return Extra(rows if number == 2 else [], attack_seconds=1.0)

        def counts(self, number: int, progress: float) -> bool:
            return progress >= 0.5

    _, history = run(dataset, tokenizer, [More()])
    assert [epoch.perturbed_texts for epoch in history] == [0, 8]
    assert [epoch.steps for epoch in history] == [2, 3]
    assert [epoch.counted for epoch in history] == [False, True]
    assert [epoch.attack_seconds for epoch in history] == [1.0, 1.0]
