"""The cache of victims."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rosearch.attack import FunctionVictim


def test_cache_grows_and_is_cleared_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rosearch.attack.victim.victim._MAX_CACHED", 30)
    asked: list[str] = []

    def answers(texts: Any) -> Any:
        asked.extend(texts)
        return np.array([[float(t), 1 - float(t)] for t in texts])

    victim = FunctionVictim(answers, outputs="probabilities")
    for start in range(0, 100, 7):
        texts = [str(k / 100) for k in range(max(0, start - 5), min(start + 5, 100))]
        out = victim.probabilities(texts)
        np.testing.assert_allclose(out[:, 0], [float(t) for t in texts], rtol=1e-6)
    assert len(set(asked)) < len(asked) <= len(set(asked)) + 12
    assert victim.forward_rows == len(asked)
    before = len(asked)
    victim.probabilities([*texts, *texts])
    assert len(asked) == before
