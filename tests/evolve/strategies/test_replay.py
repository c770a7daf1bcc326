"""Replayed populations: cached, and equal to a replay from the start."""

from __future__ import annotations

import numpy as np
import pytest

from rosearch.evolve.strategies.replay import Replay
from tests.evolve.strategies.recording import trial


class Counted:
    """Keeps the last trials, and notes the numbers of all that it selects from."""

    def __init__(self, count):
        self.count = count
        self.calls = []

    def __call__(self, trials):
        self.calls.append([t.number for t in trials])
        return trials[-self.count :]


def test_replay_computes_each_generation_once():
    trials = [trial(k, 1.0) for k in range(8)]
    select = Counted(2)
    replay = Replay(2, select)
    assert [t.number for t in replay.population(trials[:4], number=4)] == [2, 3]
    assert [t.number for t in replay.population(trials, number=8)] == [6, 7]
    assert select.calls == [[0, 1], [0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]]
    assert replay.population(trials, number=8) == Replay(2, Counted(2)).population(trials, number=8)


@pytest.mark.parametrize("size", [1, 3])
def test_late_trial_changes_only_later_generations(size):
    trials = [trial(k, 1.0) for k in range(60)]
    order = np.random.default_rng(0).permutation(8)
    select = Counted(5)
    replay = Replay(size, select)
    done = []
    for block in range(0, 48, 8):  # eight at a time, in an order of their own
        for place in order:
            done = sorted([*done, trials[block + place]], key=lambda t: t.number)
            again = replay.population(done, number=60)
            assert again == Replay(size, Counted(5)).population(done, number=60)
    assert len(select.calls) <= 48 * (8 // size + 2)
    assert replay.population(done[:20], number=60) == done[15:20]
    other = [trial(0, 2.0), *done[1:]]  # another record of the first trial
    assert replay.population(other, number=4 * size) == other[: 4 * size][-5:]
