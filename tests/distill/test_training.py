"""The loop: batches, micro batches, precision, memory, early stops, losses that explode."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rosearch.data import TextDataset
from rosearch.distill import Optimization
from rosearch.distill.objective import HardLabels
from rosearch.errors import EvaluationError
from tests.distill.loop import same, student, train

KINDS = ["bag_of_words", "text_cnn", "transformer"]


class Limited(HardLabels):
    """Runs out of memory above some rows, and remembers how many it was given."""

    def __init__(self, labels: np.ndarray, *, most: int, error: BaseException) -> None:
        super().__init__(labels)
        self.most = most
        self.error = error
        self.sizes: list[int] = []

    def forward(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], rows: np.ndarray
    ) -> torch.Tensor:
        self.sizes.append(len(rows))
        loss = super().forward(model, inputs, rows)
        if len(rows) > self.most:
            raise self.error
        return loss


class Exploding(HardLabels):
    """Loses its head at one of its calls."""

    def __init__(self, labels: np.ndarray, *, at: int, value: float) -> None:
        super().__init__(labels)
        self.at = at
        self.value = value
        self.calls = 0

    def forward(
        self, model: nn.Module, inputs: dict[str, torch.Tensor], rows: np.ndarray
    ) -> torch.Tensor:
        self.calls += 1
        loss = super().forward(model, inputs, rows)
        return loss * self.value if self.calls == self.at else loss


def close(a: nn.Module, b: nn.Module) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return all(torch.allclose(first[k], second[k], atol=2e-3) for k in first)


class TestOptimization:
    @pytest.mark.parametrize(
        "settings",
        [
            {"batch_tokens": 0},
            {"micro_batch_size": 0},
            {"patience": 0},
            {"schedule": "step"},
            {"precision": "float16"},
            {"embedding_updates": "sparse"},
            {"compile": "max-autotune"},
            {"clip": 0.0},
        ],
    )
    def test_out_of_range(self, settings: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=next(iter(settings))):
            Optimization(learning_rate=1e-3, **settings)

    def test_schedules(self) -> None:
        def rates(schedule: Any) -> list[float]:
            made = Optimization(learning_rate=1.0, warmup=0.2, schedule=schedule)
            return [made.rate(step, 10) for step in range(10)]

        assert rates("linear") == pytest.approx([0.5, 1, 1, *(k / 8 for k in range(7, 0, -1))])
        assert rates("constant") == [0.5, *[1.0] * 9]
        expected = [0.5 * (1 + math.cos(math.pi * k / 8)) for k in range(8)]
        assert rates("cosine") == pytest.approx([0.5, 1.0, *expected])


class TestMicroBatches:
    @pytest.mark.parametrize("kind", KINDS)
    def test_the_effective_batch_is_kept(
        self, kind: str, tokenizer: Any, dataset: TextDataset
    ) -> None:
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
        self, error: BaseException, tokenizer: Any, dataset: TextDataset
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

    def test_not_enough_for_one_text(self, tokenizer: Any, dataset: TextDataset) -> None:
        limited = Limited(dataset.labels[:120], most=0, error=MemoryError("no more"))
        with pytest.raises(EvaluationError, match=r"single text \(no more\)"):
            train(student(), tokenizer, dataset, objective=limited)
        assert limited.sizes == [32, 16, 8, 4, 2, 1]

    def test_memory_elsewhere(
        self, tokenizer: Any, dataset: TextDataset, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(*args: Any, **settings: Any) -> Any:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")

        monkeypatch.setattr("rosearch.distill.training.loop.predict", fails)
        with pytest.raises(EvaluationError, match="for the dev examples"):
            train(student(), tokenizer, dataset)

    def test_other_errors_pass(self, tokenizer: Any, dataset: TextDataset) -> None:
        limited = Limited(dataset.labels[:120], most=0, error=RuntimeError("sizes do not match"))
        with pytest.raises(RuntimeError, match="sizes do not match"):
            train(student(), tokenizer, dataset, objective=limited)
        assert len(limited.sizes) == 1


class TestLoop:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(
        "settings",
        [
            {"batch_tokens": 200},
            {"precision": "bfloat16"},
            {"schedule": "cosine", "embedding_updates": "dense"},
        ],
        ids=lambda settings: next(iter(settings)),
    )
    def test_learns_and_repeats(
        self, kind: str, settings: dict[str, Any], tokenizer: Any, dataset: TextDataset
    ) -> None:
        models = student(kind), student(kind)
        settings = {"learning_rate": 5e-3, "epochs": 6, "batch_size": 8, **settings}
        history, _ = (train(model, tokenizer, dataset, **settings) for model in models)
        assert max(epoch.accuracy for epoch in history) > 0.8
        assert same(*models)
        assert all(p.dtype == torch.float32 for p in models[0].parameters())
        assert all(p.grad is None for p in models[0].parameters())

    def test_bfloat16_computes_something_else(self, tokenizer: Any, dataset: TextDataset) -> None:
        models = student("transformer"), student("transformer")
        for model, precision in zip(models, ("float32", "bfloat16"), strict=True):
            train(model, tokenizer, dataset, epochs=1, precision=precision)
        assert not same(*models)

    def test_patience(self, tokenizer: Any, dataset: TextDataset) -> None:
        # Weights that hardly move: the first epoch stays the best.
        still = {"learning_rate": 1e-9, "epochs": 9}
        assert len(train(student(), tokenizer, dataset, patience=2, **still)) == 3
        assert len(train(student(), tokenizer, dataset, **still)) == 9

    def test_until_keeps_the_plan_s_learning_rates(
        self, tokenizer: Any, dataset: TextDataset
    ) -> None:
        models = [student() for _ in range(3)]
        part = train(models[0], tokenizer, dataset, until=1)
        train(models[1], tokenizer, dataset, epochs=1)
        whole = train(models[2], tokenizer, dataset)
        assert len(part) == 1
        assert part[0].loss == whole[0].loss
        assert not same(models[0], models[1])
        for wrong in (0, 4):
            with pytest.raises(ValueError, match="expected one from 1 to 3"):
                train(models[0], tokenizer, dataset, until=wrong)

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_an_exploding_loss_names_its_step(
        self, value: float, tokenizer: Any, dataset: TextDataset
    ) -> None:
        bad = Exploding(dataset.labels[:120], at=6, value=value)
        # 120 rows in batches of 32: step 6 is the second of epoch 2.
        with pytest.raises(EvaluationError, match=rf"loss of epoch 2 is {value} by step 6. Lower"):
            train(student(), tokenizer, dataset, objective=bad)
        assert bad.calls == 6

    def test_learned_parts_of_the_objective_learn(
        self, tokenizer: Any, dataset: TextDataset
    ) -> None:
        class Scaled(HardLabels):
            def __init__(self, labels: np.ndarray) -> None:
                super().__init__(labels)
                self.scale = nn.Parameter(torch.ones(()))

            def forward(
                self, model: nn.Module, inputs: dict[str, torch.Tensor], rows: np.ndarray
            ) -> torch.Tensor:
                return super().forward(model, inputs, rows) * self.scale.square()

        objective = Scaled(dataset.labels[:120])
        train(student(), tokenizer, dataset, objective=objective)
        assert float(objective.scale.detach()) < 0.99

    @pytest.mark.slow
    @pytest.mark.parametrize("how", [True, "reduce-overhead"])
    def test_compiled(self, how: Any, tokenizer: Any, dataset: TextDataset) -> None:
        models = student(dropout=0.0), student(dropout=0.0)
        settings = {"learning_rate": 1e-3, "epochs": 1}
        train(models[0], tokenizer, dataset, **settings)
        train(models[1], tokenizer, dataset, compile=how, **settings)
        assert close(*models)

    @pytest.mark.gpu
    @pytest.mark.parametrize(
        "settings",
        [{}, {"precision": "bfloat16"}, {"compile": True}, {"compile": "reduce-overhead"}],
    )
    def test_on_a_gpu(self, settings: dict[str, Any], tokenizer: Any, dataset: TextDataset) -> None:
        model = student("transformer").to("cuda")
        history = train(model, tokenizer, dataset, epochs=6, **settings)
        assert max(epoch.accuracy for epoch in history) > 0.8
        bad = Exploding(dataset.labels[:120], at=6, value=math.nan)
        with pytest.raises(EvaluationError, match="loss of epoch 2 is nan by step"):
            train(student().to("cuda"), tokenizer, dataset, objective=bad)
