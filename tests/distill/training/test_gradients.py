"""Micro batches: the same gradient in pieces, and halving when memory runs out."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rosearch.data import TextDataset
from rosearch.errors import EvaluationError
from tests.distill.loop import student, train
from tests.distill.training.objectives import Limited, close

KINDS = ["bag_of_words", "text_cnn", "transformer"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_effective_batch_is_kept(kind: str, tokenizer: Any, dataset: TextDataset) -> None:
    # 120 rows in batches of 32 in pieces of 7: pieces and batches of different sizes.
    whole, pieces = student(kind, dropout=0.0), student(kind, dropout=0.0)
    settings = {"learning_rate": 1e-3, "epochs": 1, "batch_size": 32}
    first = train(whole, tokenizer, dataset, **settings)
    second = train(pieces, tokenizer, dataset, micro_batch_size=7, **settings)
    assert close(whole, pieces)
    assert first[0].loss == pytest.approx(second[0].loss, rel=1e-4)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to"),
    ],
    ids=["python", "cuda", "cpu"],
)
def test_halved_where_memory_runs_out(
    error: BaseException, tokenizer: Any, dataset: TextDataset
) -> None:
    limited = Limited(dataset.labels[:120], most=10, error=error)
    settings = {"learning_rate": 1e-3, "epochs": 1, "batch_size": 40}
    whole, halved = student(dropout=0.0), student(dropout=0.0)
    train(whole, tokenizer, dataset, **settings)
    train(halved, tokenizer, dataset, objective=limited, **settings)
    # Tried at 40, 20 and 10; from then on it stays there.
    assert limited.sizes[:3] == [40, 20, 10]
    assert set(limited.sizes[2:]) == {10}
    assert close(whole, halved)


def test_not_enough_for_one_text(tokenizer: Any, dataset: TextDataset) -> None:
    limited = Limited(dataset.labels[:120], most=0, error=MemoryError("no more"))
    with pytest.raises(EvaluationError, match=r"single text \(no more\)"):
        train(student(), tokenizer, dataset, objective=limited)
    assert limited.sizes == [32, 16, 8, 4, 2, 1]


def test_memory_elsewhere(
    tokenizer: Any, dataset: TextDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any, **settings: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")

    monkeypatch.setattr("rosearch.distill.training.loop.predict", fails)
    with pytest.raises(EvaluationError, match="for the dev examples"):
        train(student(), tokenizer, dataset)


def test_other_errors_pass(tokenizer: Any, dataset: TextDataset) -> None:
    limited = Limited(dataset.labels[:120], most=0, error=RuntimeError("sizes do not match"))
    with pytest.raises(RuntimeError, match="sizes do not match"):
        train(student(), tokenizer, dataset, objective=limited)
    assert len(limited.sizes) == 1
