"""Evolution that asks a model before it asks the evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from rosearch.errors import SpaceError
from rosearch.evolve.strategies.base import Strategy, registry
from rosearch.evolve.strategies.offspring import check_number, check_share, check_size
from rosearch.evolve.strategies.ordering import scored
from rosearch.evolve.strategies.surrogate.gaussian import Array, cumulative
from rosearch.evolve.strategies.surrogate.prediction import Prediction, Predictor
from rosearch.evolve.study.trials import TrialRecord, comparable
from rosearch.space import Genome, SearchSpace
from rosearch.space.features import features

_DRAWS = 64
"""Samples of the posterior of several objectives."""
_LEAST = 4
"""Trials with a score without which there is no model."""


@registry.register("surrogate")
class SurrogateEvolution(Strategy):
    """Evolution of which a model picks the most promising child.

    As in BANANAS (White, Neiswanger and Savani 2021, "BANANAS: Bayesian Optimization with Neural
    Architectures for Neural Architecture Search"): the best candidates so far have many children, a
    model predicts the fitness of all, and one of them is next. Here the model is a Gaussian process
    over :func:`rosearch.space.features.features` instead of an ensemble of networks: it is exact,
    takes milliseconds, and its posterior stands for the ensemble.

    - The first ``initial`` candidates are samples (or the search's seeds).
    - Then ``pool`` genomes are drawn: fresh samples, and mutants of the best ``parents`` candidates
      or of their crossovers, one to three mutations away.
    - Each genome is worth its expected improvement on the best feasible trial, times the
      probability that it keeps all constraints, whose violations have a model too (Gardner et al.
      2014, "Bayesian Optimization with Inequality Constraints", section 3). The most worthy is
      next.
    - With several objectives each has a model, and they are weighed at random for each proposal:
      the augmented Chebyshev scalarisation of ParEGO (Knowles 2006).
    - A trial is one observation, of its highest rung, and failed ones count as the worst seen: see
      :class:`~rosearch.evolve.strategies.surrogate.observations.Observations`.

    Args:
        initial: Candidates before the model is asked; at least 2.
        pool: Genomes that the model chooses among.
        parents: How many of the best candidates have children in the pool.
        samples: Share of fresh samples in the pool, 0 to 1.
        crossover: Share of the pool's children, 0 to 1, that come from two parents.
        exploration: Factor on the standard deviations of the predicted objectives; more of it
            looks farther from what is known, and 0 takes the highest mean.
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
        self.initial = check_size("initial", initial, 2)
        self.pool = check_size("pool", pool, 2)
        self.parents = check_size("parents", parents, 1)
        self.samples = check_share("samples", samples)
        self.crossover = check_share("crossover", crossover)
        self.exploration = check_number("exploration", exploration, 0.0)
        self._predictor = Predictor()

    def propose(
        self,
        space: SearchSpace,
        trials: Sequence[TrialRecord],
        *,
        number: int,
        rng: np.random.Generator,
    ) -> Genome:
        """A sample at first, then the most promising genome of a pool."""
        return next(self.proposals(space, trials, number=number, rng=rng))

    def proposals(
        self,
        space: SearchSpace,
        trials: Sequence[TrialRecord],
        *,
        number: int,
        rng: np.random.Generator,
    ) -> Iterator[Genome]:
        """A sample at first, then a pool from the most promising genome to the least."""
        known = scored(trials)
        if number >= self.initial and len(known) >= _LEAST:
            pool = self._pool(space, comparable(known)[: self.parents], rng)
            prediction = self._predictor.predict(trials, [features(genome) for genome in pool])
            tried = {trial.key for trial in trials}
            ordered = (pool[place] for place in self._order(prediction, rng))
            yield from (genome for genome in ordered if genome.key not in tried)
        yield space.sample(seed=rng)

    def _pool(
        self, space: SearchSpace, best: Sequence[TrialRecord], rng: np.random.Generator
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
            except SpaceError:  # a genome without neighbours
                genome = space.sample(seed=rng)
            pool.append(genome)
        return pool

    def _order(self, prediction: Prediction, rng: np.random.Generator) -> list[int]:
        """Places of the pool from the most promising to the least."""
        deviation = self.exploration * prediction.deviation
        if prediction.mean.shape[1] == 1:
            mean, best = prediction.mean[:, 0], prediction.reached.max(initial=-np.inf)
            low = prediction.low[0]
            better = improvement(mean - best, deviation[:, 0])
        else:
            weighed = chebyshev(prediction, rng.dirichlet(np.ones(prediction.mean.shape[1])))
            mean, best = weighed(prediction.mean), weighed(prediction.reached).max(initial=-np.inf)
            low = weighed(prediction.low)
            draws = rng.standard_normal((_DRAWS, 1, prediction.mean.shape[1]))
            samples = weighed(prediction.mean + deviation * draws)
            better = np.maximum(samples - best, 0.0).mean(axis=0)
        # As long as nothing is feasible there is nothing to improve on.
        worth = prediction.feasible * (better if len(prediction.reached) else 1.0)
        # Where nothing is expected to be better, what is good is next, among the feasible still.
        good = prediction.feasible * np.maximum(mean - low, 0.0)
        order: list[int] = np.lexsort((-mean, -good, -worth)).tolist()
        return order


def improvement(above: Array, deviation: Array) -> Array:
    """Expected positive part of normally distributed numbers.

    Args:
        above: Their means.
        deviation: Their standard deviations.
    """
    deviation = np.maximum(deviation, 1e-12)
    z = above / deviation
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    expected: Array = np.maximum(above * cumulative(z) + deviation * density, 0.0)
    return expected


def chebyshev(prediction: Prediction, weights: Array) -> Callable[[Array], Array]:
    """Several objectives as one, larger is better: the scalarisation of ParEGO.

    Args:
        prediction: Has the range of each objective.
        weights: Of the objectives.
    """
    spread = prediction.high - prediction.low
    scale = weights / np.where(spread > 0, spread, 1.0)

    def weighed(points: Array) -> Array:
        short = (points - prediction.high) * scale
        result: Array = short.min(axis=-1) + 0.05 * short.sum(axis=-1)
        return result

    return weighed
