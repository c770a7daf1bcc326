"""Batches by texts and by tokens."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rosearch.distill.training.batches import bucketed_batches


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=200),
    size=st.integers(1, 40),
    tokens=st.none() | st.integers(1, 300),
    seed=st.integers(0, 1000),
)
def test_every_row_once(lengths: list[int], size: int, tokens: int | None, seed: int) -> None:
    array = np.array(lengths)
    batches = bucketed_batches(
        array, batch_size=size, batch_tokens=tokens, rng=np.random.default_rng(seed), window=3
    )
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    for batch in batches:
        if tokens is None:
            assert len(batch) <= size
        else:
            assert len(batch) == 1 or len(batch) * array[batch].max() <= tokens


def test_little_padding_and_another_order_each_time() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(4, 60, size=2000)
    for tokens in (None, 1000):
        first, second = (
            bucketed_batches(lengths, batch_size=32, batch_tokens=tokens, rng=rng) for _ in range(2)
        )
        padded = sum(len(b) * lengths[b].max() for b in first)
        assert padded < 1.1 * lengths.sum()
        assert {tuple(sorted(b)) for b in first} != {tuple(sorted(b)) for b in second}
        longest = [int(lengths[b].max()) for b in first]
        assert longest != sorted(longest)


def test_token_budgets_are_used() -> None:
    lengths = np.random.default_rng(0).integers(4, 60, size=2000)
    batches = bucketed_batches(
        lengths, batch_size=1, batch_tokens=1000, rng=np.random.default_rng(1)
    )
    assert np.mean([lengths[b].sum() for b in batches]) > 850
