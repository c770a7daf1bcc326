"""Weighted sums of losses, and plug-ins."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.nn import functional

from rosearch.distill import (
    DistillationLoss,
    distillation_losses,
)
from rosearch.distill.losses import LossMix
from rosearch.errors import RegistryError
from tests.distill.losses.examples import STUDENT, TEACHER

BUILT_IN = ("hard_labels", "hidden_states", "pooled_cosine", "relations", "soft_labels")


@pytest.fixture
def plug_in() -> Iterator[type[DistillationLoss]]:
    @distillation_losses.register("logit_error")
    class LogitError(DistillationLoss):
        needs = ("logits",)

        def __init__(self, teacher: Any, student: Any, *, power: int = 2) -> None:
            super().__init__(teacher, student)
            self.power = power

        def forward(self, student: Any, teacher: Any, *, mask: Any, labels: Any) -> torch.Tensor:
            return functional.mse_loss(student.logits, teacher.logits)

    yield LogitError
    distillation_losses.unregister("logit_error")


class TestMix:
    def test_built_in_names(self) -> None:
        assert set(BUILT_IN) <= set(distillation_losses.names())
        assert all(distillation_losses.get(name).__doc__ for name in BUILT_IN)

    def test_default_and_labels(self) -> None:
        plain = LossMix.of(None, teacher=TEACHER, temperature=4.0)
        assert plain.settings == {"soft_labels": {"weight": 1.0, "temperature": 4.0}}
        assert not plain.needs_labels
        labelled = LossMix.of({"hard_labels": 0.25, "soft_labels": 0.75}, teacher=TEACHER)
        assert labelled.needs_labels == ("hard_labels",)
        assert LossMix.of({"hard_labels": 1.0}, teacher=TEACHER).needs == frozenset()

    def test_what_is_needed_of_the_teacher(self) -> None:
        mix = LossMix.of(
            {"hidden_states": {"layers": (6, 12)}, "relations": 1, "pooled_cosine": 0},
            teacher=TEACHER,
        )
        assert mix.needs == {"hidden_states", "values"}
        assert mix.wanted.hidden_states == (6, 12)
        assert mix.wanted.values == (12,)
        assert [name for name, _, _ in mix.entries] == ["hidden_states", "relations"]
        assert mix.settings["hidden_states"] == {"weight": 1.0, "layers": [6, 12]}

    def test_order_does_not_matter(self) -> None:
        a = LossMix.of({"soft_labels": 1.0, "hidden_states": 0.5}, teacher=TEACHER)
        b = LossMix.of({"hidden_states": 0.5, "soft_labels": 1.0}, teacher=TEACHER)
        assert a == b

    @pytest.mark.parametrize(
        ("losses", "message"),
        [
            ({"soft_labels": -1.0}, "weight of the loss 'soft_labels' must be"),
            ({"soft_labels": math.nan}, "weight of the loss"),
            ({"soft_labels": "1"}, "weight of the loss"),
            ({"soft_labels": True}, "weight of the loss"),
            ({"soft_labels": 0.0, "hard_labels": 0}, "must have a weight above 0"),
            ({}, "must have a weight above 0"),
            ({"soft_labels": {"heat": 2.0}}, "no setting 'heat'; known: temperature"),
            ({"hard_labels": {"heat": 2.0}}, "no setting 'heat'; known: none"),
            ({"hidden_states": {"layers": {4}}}, "must be JSON values"),
        ],
    )
    def test_invalid_values_are_refused(self, losses: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            LossMix.of(losses, teacher=TEACHER)

    def test_unknown_names(self) -> None:
        with pytest.raises(RegistryError, match="Did you mean 'soft_labels'"):
            LossMix.of({"soft_label": 1.0}, teacher=TEACHER)

    def test_plug_in(self, plug_in: type[DistillationLoss]) -> None:
        mix = LossMix.of({"logit_error": {"weight": 2.0, "power": 3}}, teacher=TEACHER)
        (loss,) = mix.build(STUDENT)
        assert isinstance(loss, plug_in)
        assert mix.needs == {"logits"}
        assert mix.settings == {"logit_error": {"weight": 2.0, "power": 3}}

    def test_wrong_plug_ins(self) -> None:
        with pytest.raises(RegistryError, match="expected a subclass"):
            distillation_losses.register("mine")(torch.nn.MSELoss)
        with pytest.raises(RegistryError, match="needs names 'attentions'; known: logits"):

            @distillation_losses.register("mine")
            class Mine(DistillationLoss):
                needs = ("attentions",)
