"""Merging of a node's inputs."""

from __future__ import annotations

import pytest
import torch

import rosearch.operators as ops


@pytest.mark.parametrize("kind", ops.MERGES)
def test_merges_are_symmetric_and_agree_on_one_input(kind: str) -> None:
    merge = ops.Merge(kind, width=4, inputs=3)
    inputs = [torch.randn(2, 5, 4) for _ in range(3)]
    torch.testing.assert_close(merge(inputs), merge(inputs[::-1]))
    alone = ops.Merge(kind, width=4, inputs=1)
    assert torch.equal(alone(inputs[:1]), inputs[0])


def test_gated_merge_weighs_its_inputs() -> None:
    merge = ops.Merge("gated", width=2, inputs=2)
    a, b = torch.ones(1, 1, 2), torch.zeros(1, 1, 2)
    torch.testing.assert_close(merge([a, b]), torch.full((1, 1, 2), 0.5))
    with torch.no_grad():
        merge.scores[0] = 50.0
    torch.testing.assert_close(merge([a, b]), a)
