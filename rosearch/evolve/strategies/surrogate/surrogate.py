"""Evolution with a surrogate model that preselects children."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from numpy.random import Generator

from rosearch.checks import number, share, whole_number
from rosearch.errors import SpaceError
from rosearch.evolve.strategies.base import Strategy, registry
from rosearch.evolve.strategies.ordering import scored
from rosearch.evolve.strategies.surrogate.acquisition import promising_order
from rosearch.evolve.strategies.surrogate.prediction import Predictor
from rosearch.evolve.study.trials import TrialRecord, comparable
from rosearch.space import Genome, SearchSpace
from rosearch.space.features import features

_MIN_TRIALS = 4
"""Trials with a score that a model needs."""


@registry.register("surrogate")
class SurrogateEvolution(Strategy):
    """Evolution in which a model selects the most promising child.

    As in BANANAS (White, Neiswanger and Savani 2021, "BANANAS: Bayesian Optimization with Neural
    Architectures for Neural Architecture Search"), the best candidates so far have many children, a
    model predicts the fitness of all, and one of them is evaluated. The model is a Gaussian process
    over :func:`rosearch.space.features.features` instead of an ensemble of networks; it takes
    milliseconds, and its posterior replaces the ensemble.

    - The first ``initial`` candidates are samples (or the search's initial genomes).
    - Then a pool of genomes is drawn: random samples, and mutants of the best ``parents``
      candidates or of their crossovers, by one to three mutations.
    - The genome with the highest expected improvement on the best feasible trial, times the
      probability of satisfying all constraints, is next. The violations have a model, too (Gardner
      et al. 2014, "Bayesian Optimization with Inequality Constraints", section 3).
    - Several objectives have one model each and random weights for each proposal: the augmented
      Chebyshev scalarization of ParEGO (Knowles 2006).
    - A trial is one observation, at its highest rung, and failed ones count as the worst seen: see
      :class:`~rosearch.evolve.strategies.surrogate.observations.Observations`.

    Args:
        initial: Candidates before the model is used, at least 2.
        pool: Genomes that the model selects from, at least 2.
        parents: Number of the best candidates that have children in the pool.
        samples: Fraction of random samples in the pool, 0 to 1.
        crossover: Fraction of the children in the pool with two parents, 0 to 1.
        exploration: Factor on the standard deviations of the predicted objectives; 0 selects the
            highest mean.
    """

    def __init__(
        self,
        *,
        initial: int = 10,
        pool: int = 200,
        parents: int = 10,
        samples: float = 0.3,
        crossover: float = 0.3,
        exploration: float = 1.0,
    ) -> None:
        self.initial = whole_number("initial", initial, 2)
        self.pool = whole_number("pool", pool, 2)
        self.parents = whole_number("parents", parents)
        self.samples = share("samples", samples)
        self.crossover = share("crossover", crossover)
        self.exploration = number("exploration", exploration, 0.0)
        self._predictor = Predictor()

    def propose(
        self, space: SearchSpace, trials: Sequence[TrialRecord], *, number: int, rng: Generator
    ) -> Genome:
        """A sample at first, then the most promising genome of a pool."""
        return next(self.proposals(space, trials, number=number, rng=rng))

    def proposals(
        self, space: SearchSpace, trials: Sequence[TrialRecord], *, number: int, rng: Generator
    ) -> Iterator[Genome]:
        """A sample at first, then the pool, the most promising genome first."""
        known = scored(trials)
        if number >= self.initial and len(known) >= _MIN_TRIALS:
            pool = self._pool(space, comparable(known)[: self.parents], rng)
            prediction = self._predictor.predict(trials, [features(genome) for genome in pool])
            tried = {trial.key for trial in trials}
            ordered = (pool[place] for place in promising_order(prediction, self.exploration, rng))
            yield from (genome for genome in ordered if genome.key not in tried)
        yield space.sample(seed=rng)

    def _pool(
        self, space: SearchSpace, best: Sequence[TrialRecord], rng: Generator
    ) -> list[Genome]:
        fresh = round(self.samples * self.pool)
        pool = [space.sample(seed=rng) for _ in range(fresh)]
        for k in range(self.pool - fresh):
            genome = best[k % len(best)].genome
            try:
                if len(best) > 1 and rng.random() < self.crossover:
                    other = best[int(rng.integers(len(best)))].genome
                    genome = space.crossover(genome, other, seed=rng)
                for _ in range(int(rng.integers(1, 4))):
                    genome = space.mutate(genome, seed=rng)
            except SpaceError:  # a genome without mutants
                genome = space.sample(seed=rng)
            pool.append(genome)
        return pool
