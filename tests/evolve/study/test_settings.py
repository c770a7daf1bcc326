"""Settings as plain data."""

from __future__ import annotations

import functools

from rosearch.evolve.study.settings import describe
from tests.evolve.evaluations import synthetic


def test_a_partial_is_described_by_its_function_and_arguments():
    a = describe(functools.partial(synthetic, epochs=3))
    assert a == describe(functools.partial(synthetic, epochs=3))
    assert a != describe(functools.partial(synthetic, epochs=4))
    assert "0x" not in str(describe(functools.partial(synthetic, model=object())))


def test_a_method_is_described_by_the_settings_of_its_object():
    class Trainer:
        def __init__(self, epochs):
            self.settings = {"epochs": epochs}

        def measure(self, genome, *, seed):
            return synthetic(genome, seed=seed)

    assert describe(Trainer(3).measure) == describe(Trainer(3).measure)
    assert describe(Trainer(3).measure) != describe(Trainer(4).measure)
