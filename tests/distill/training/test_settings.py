"""Training settings: their ranges, and the learning rate schedules."""

from __future__ import annotations

import math
from typing import Any

import pytest

from rosearch.distill import Optimization


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_tokens": 0},
        {"micro_batch_size": 0},
        {"patience": 0},
        {"schedule": "step"},
        {"precision": "float16"},
        {"compile": "max-autotune"},
        {"clip": 0.0},
        {"epochs": 0},
        {"epochs": 1.5},
        {"batch_size": 0},
        {"learning_rate": -1.0},
        {"warmup": 1.0},
        {"weight_decay": -1.0},
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        Optimization(**{"learning_rate": 1e-3, **settings})


def test_learning_rates_of_the_schedules() -> None:
    def rates(schedule: Any) -> list[float]:
        made = Optimization(learning_rate=1.0, warmup=0.2, schedule=schedule)
        return [made.rate(step, 10) for step in range(10)]

    assert rates("linear") == pytest.approx([0.5, 1, 1, *(k / 8 for k in range(7, 0, -1))])
    assert rates("constant") == [0.5, *[1.0] * 9]
    expected = [0.5 * (1 + math.cos(math.pi * k / 8)) for k in range(8)]
    assert rates("cosine") == pytest.approx([0.5, 1.0, *expected])
