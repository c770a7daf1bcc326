"""Random search."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.random import Generator

from rosearch.evolve.strategies.base import Strategy, registry
from rosearch.evolve.study.trials import TrialRecord
from rosearch.space import Genome, SearchSpace


@registry.register("random")
class RandomSearch(Strategy):
    """Every genome is a new random sample: the baseline for all other strategies."""

    def propose(
        self, space: SearchSpace, trials: Sequence[TrialRecord], *, number: int, rng: Generator
    ) -> Genome:
        """A new sample."""
        return space.sample(seed=rng)
