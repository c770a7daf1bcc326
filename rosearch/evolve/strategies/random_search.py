"""Random search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rosearch.evolve.strategies.base import Strategy, registry
from rosearch.evolve.study.trials import TrialRecord
from rosearch.space import Genome, SearchSpace


@registry.register("random")
class RandomSearch(Strategy):
    """Every genome is a fresh sample: what any other strategy has to beat."""

    def propose(
        self,
        space: SearchSpace,
        trials: Sequence[TrialRecord],
        *,
        number: int,
        rng: np.random.Generator,
    ) -> Genome:
        """A fresh sample."""
        return space.sample(seed=rng)
