"""Latency tables: measuring, JSON, and limits on latency."""

from __future__ import annotations

import pytest
import torch

from rosearch.errors import ArgumentError, SpaceError
from rosearch.space import Genome, LatencyTable, SearchSpace, Task
from tests.space.spaces import NARROW

TASK = Task(vocabulary=2000, positions=64, length=16)


@pytest.fixture(scope="module")
def table() -> LatencyTable:
    return LatencyTable.measure(SearchSpace(**NARROW), length=16, repeats=1)


def test_limit_on_latency(table: LatencyTable) -> None:
    again = LatencyTable.from_json(table.to_json())
    assert again == table
    free = SearchSpace(**NARROW, latency=(None, 1e6), teacher=TASK, latencies=table)

    def seconds(genome: Genome) -> float:
        assert free.limits is not None
        return free.limits.total(genome)[0]

    fast = seconds(Genome(width=32, embedding_width=16))
    middle = sorted(seconds(free.sample(seed=seed)) for seed in range(40))[20]
    assert middle > fast
    space = SearchSpace(**NARROW, latency=(None, middle), teacher=TASK, latencies=again.to_dict())
    for seed in range(30):
        genome = space.sample(seed=seed)
        assert seconds(genome) <= middle
        assert seconds(space.mutate(genome, seed=seed)) <= middle
    assert SearchSpace(**space.settings).sample(seed=1) == space.sample(seed=1)


def test_table_that_does_not_match_the_space() -> None:
    def limited(table: LatencyTable) -> SearchSpace:
        return SearchSpace(**NARROW, latency=(None, 1.0), teacher=TASK, latencies=table)

    with pytest.raises(SpaceError, match=r"has no .*node.*attention"):
        limited(LatencyTable(16, {}, "cpu"))
    with pytest.raises(SpaceError, match="are for 8 tokens and the task for 16"):
        limited(LatencyTable(8, {}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "must be valid JSON"),
        ('{"length": 3}', "must be as LatencyTable.to_dict"),
        *((f'{{"length": 3, "seconds": {{"a": {value}}}}}', "must be as LatencyTable.to_dict")
          for value in ("NaN", "-1", "Infinity")),
    ],
)  # fmt: skip
def test_invalid_json(text: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        LatencyTable.from_json(text)


@pytest.mark.parametrize("name", ["length", "repeats"])
def test_invalid_arguments(name: str) -> None:
    with pytest.raises(ArgumentError, match=f"{name} must be a whole number from 1, got 0"):
        LatencyTable.measure(SearchSpace(**NARROW), **{name: 0})  # type: ignore[arg-type]


def test_measuring_leaves_the_random_state_unchanged() -> None:
    before = torch.get_rng_state()
    space = SearchSpace(**NARROW | {"widths": (32,)})
    LatencyTable.measure(space, length=16, repeats=1)
    assert torch.equal(torch.get_rng_state(), before)
