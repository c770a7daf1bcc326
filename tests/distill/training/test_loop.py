"""The training loop: precision, early stops, diverging losses, compilation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rosearch.data import TextDataset
from rosearch.distill.losses import HardLabels
from rosearch.errors import EvaluationError
from tests.distill.loop import same, student, train
from tests.distill.training.objectives import Exploding, close

KINDS = ["bag_of_words", "text_cnn", "transformer"]


class TestLoop:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(
        "settings",
        [
            {"batch_tokens": 200},
            {"precision": "bfloat16"},
            {"schedule": "cosine"},
        ],
        ids=lambda settings: next(iter(settings)),
    )
    def test_learns_and_is_reproducible(
        self, kind: str, settings: dict[str, Any], tokenizer: Any, dataset: TextDataset
    ) -> None:
        models = student(kind), student(kind)
        settings = {"learning_rate": 5e-3, "epochs": 6, "batch_size": 8, **settings}
        history, _ = (train(model, tokenizer, dataset, **settings) for model in models)
        assert max(epoch.accuracy for epoch in history) > 0.8
        assert same(*models)
        assert all(p.dtype == torch.float32 for p in models[0].parameters())
        assert all(p.grad is None for p in models[0].parameters())

    def test_bfloat16_changes_the_weights(self, tokenizer: Any, dataset: TextDataset) -> None:
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
            with pytest.raises(ValueError, match="epochs must be a whole number from 1 to 3"):
                train(models[0], tokenizer, dataset, until=wrong)

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_a_loss_that_is_not_finite_names_its_step(
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
