"""Intervals in place of tensors."""

from __future__ import annotations

import pytest
import torch

from rosearch.attack.certificates.intervals import Interval, NoRuleError, rule


def test_they_look_like_tensors() -> None:
    interval = Interval(torch.zeros(2, 3), torch.ones(2, 3))
    assert interval.shape == (2, 3)
    assert (interval.size(), interval.size(1), interval.dim(), interval.ndim) == ((2, 3), 3, 2, 2)
    assert interval.dtype == torch.float64
    assert interval.device.type == "cpu"
    assert not interval.is_cuda
    assert interval[:, 0].shape == (2,)
    assert interval.new_zeros(4).tolist() == [0, 0, 0, 0]
    assert Interval.of(interval) is interval
    assert Interval.of(2).low == Interval.of(torch.tensor(2.0)).high == 2


def test_a_rule_of_ones_own() -> None:
    interval = Interval(torch.zeros(2), torch.ones(2))
    with pytest.raises(NoRuleError, match="torch's square has no rule"):
        torch.square(interval)  # type: ignore[call-overload]

    @rule("square")
    def square(hidden: Interval) -> Interval:
        return hidden * hidden

    try:
        found = torch.square(interval + 1)  # type: ignore[call-overload]
        assert found.low.tolist() == [1, 1]
        assert (interval + 1).square().high.tolist() == [4, 4]
    finally:
        from rosearch.attack.certificates import intervals

        del intervals._rules["square"]
