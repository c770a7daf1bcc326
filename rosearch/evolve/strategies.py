"""Which architecture to try next, given those that were tried."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Any, final

import numpy as np

from rosearch.errors import SpaceError
from rosearch.evolve.records import TrialRecord
from rosearch.fitness import rank_order
from rosearch.space import Genome, SearchSpace

_PROPOSALS = 30
"""Proposals that may repeat a genome of the study before fresh samples are drawn."""
_SAMPLES = 300
"""Fresh samples that may repeat one before the space counts as exhausted."""


class Strategy(ABC):
    """A rule for the next genome, without memory of its own.

    Authors write :meth:`propose`. What it returns may depend on its arguments and on the
    strategy's settings only, so that an interrupted search goes on as if nothing had happened.
    Settings are public attributes set in ``__init__``, plain values that JSON can hold.
    """

    @abstractmethod
    def propose(
        self,
        space: SearchSpace,
        trials: Sequence[TrialRecord],
        *,
        number: int,
        rng: np.random.Generator,
    ) -> Genome:
        """A genome for trial ``number``.

        Called again, with the same generator moved on, when the study has the genome already.

        Args:
            space: Where genomes come from.
            trials: The finished trials in order of their numbers, failed ones included.
            number: Number of the trial that the genome is for, from 0.
            rng: The only source of randomness.
        """

    @property
    def settings(self) -> dict[str, Any]:
        """Name and public attributes; a study is made for one set of them."""
        public = {k: v for k, v in sorted(vars(self).items()) if not k.startswith("_")}
        return {"name": type(self).__qualname__, **public}

    @final
    def next_genome(
        self,
        space: SearchSpace,
        trials: Sequence[TrialRecord],
        *,
        taken: Collection[str],
        number: int,
        rng: np.random.Generator,
    ) -> Genome:
        """A genome whose key is not in ``taken``.

        Args:
            space: As for :meth:`propose`.
            trials: As for :meth:`propose`.
            taken: Keys of all genomes that the study has, running ones included.
            number: As for :meth:`propose`.
            rng: As for :meth:`propose`.

        Raises:
            SpaceError: Neither proposals nor fresh samples gave a genome that is new.
        """
        with contextlib.suppress(SpaceError):  # a parent without neighbours; samples may do
            for _ in range(_PROPOSALS):
                genome = self.propose(space, trials, number=number, rng=rng)
                if genome.key not in taken:
                    return genome
        for _ in range(_SAMPLES):
            genome = space.sample(seed=rng)
            if genome.key not in taken:
                return genome
        raise SpaceError(
            f"No new architecture for candidate {number}: {_PROPOSALS} proposals of "
            f"{type(self).__name__} and {_SAMPLES} samples of the space were all among the "
            f"{len(taken)} that the study has. Widen the search space or ask for fewer candidates."
        )

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v!r}" for k, v in self.settings.items() if k != "name")
        return f"{type(self).__name__}({shown})"


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


class RegularizedEvolution(Strategy):
    """Ageing evolution with tournaments.

    After Real et al. (2019), "Regularized Evolution for Image Classifier Architecture Search",
    algorithm 1: the first ``population`` candidates are samples; after that the population is
    the last ``population`` candidates that finished, by their numbers, whether good or bad; the
    best of a random ``tournament`` is the parent, and its mutant is next. Crossover is our
    addition. Best means best by fitness, or by Pareto rank and then crowding distance.

    Args:
        population: How many candidates are parents-to-be; at least 2.
        tournament: How many of them compete to be the parent; 1 makes the choice random.
        crossover: Share of children, 0 to 1, that come from two parents (and are then mutated).
    """

    def __init__(
        self, *, population: int = 16, tournament: int = 4, crossover: float = 0.2
    ) -> None:
        if population < 2:
            raise ValueError(f"population must be at least 2, got {population}.")
        if not 1 <= tournament <= population:
            raise ValueError(
                f"tournament must be from 1 to the population of {population}, got {tournament}."
            )
        if not 0 <= crossover <= 1:
            raise ValueError(f"crossover is a share from 0 to 1, got {crossover}.")
        self.population = int(population)
        self.tournament = int(tournament)
        self.crossover = float(crossover)

    def propose(
        self,
        space: SearchSpace,
        trials: Sequence[TrialRecord],
        *,
        number: int,
        rng: np.random.Generator,
    ) -> Genome:
        """A sample at first, then a mutant of a tournament's winner."""
        scored = [(t.genome, t.score) for t in trials if t.score is not None]
        alive = scored[-self.population :]
        if number < self.population or not alive:
            return space.sample(seed=rng)
        place = {position: i for i, position in enumerate(rank_order([s for _, s in alive]))}

        def winner() -> Genome:
            size = min(self.tournament, len(alive))
            entrants = rng.choice(len(alive), size=size, replace=False)
            return alive[min(entrants.tolist(), key=place.__getitem__)][0]

        parent = winner()
        if rng.random() < self.crossover:
            parent = space.crossover(parent, winner(), seed=rng)
        return space.mutate(parent, seed=rng)
