"""Made-up trials, and a search space that notes the parents of what it makes."""

from __future__ import annotations

import numpy as np

from rosearch.evolve import Evolver, RandomSearch
from rosearch.evolve.testing import make_trial
from rosearch.fitness import Fitness
from tests.evolve.evaluations import SPACE
from tests.fitness.reference import hypervolume

GENOMES = [SPACE.sample(seed=k) for k in range(60)]


def trial(number, *values, **more):
    """A finished trial; without values it has failed."""
    return make_trial(number, GENOMES[number], values or None, **more)


def rng(seed=0):
    return np.random.default_rng(seed)


class Recording:
    """``SPACE``, noting which genomes were mutated and crossed over."""

    def __init__(self):
        self.mutated = []
        self.pairs = []

    def sample(self, *, seed):
        return SPACE.sample(seed=seed)

    def mutate(self, genome, *, seed):
        self.mutated.append(genome.key)
        return genome

    def crossover(self, a, b, *, seed):
        self.pairs.append((a.key, b.key))
        return a


def parents(strategy, trials, number, seeds=150):
    """Numbers of the trials that some proposal has as a parent."""
    space = Recording()
    for seed in range(seeds):
        strategy.propose(space, trials, number=number, rng=rng(seed))
    keys = set(space.mutated).union(*space.pairs)
    return {t.number for t in trials if t.key in keys}


def counted(genome, *, seed):
    """Two objectives that compete for eight nodes."""
    operators = [node.operator for node in genome.nodes]
    return {
        "accuracy": operators.count("attention") + operators.count("feed_forward"),
        "accuracy_under_attack": operators.count("convolution") + operators.count("identity"),
    }


def hypervolume_gains(strategy, candidates=60):
    """Hypervolume of a strategy's fronts minus that of random search, for six seeds."""
    fitness = Fitness.pareto(["robustness", "accuracy"])

    def volume(used, seed):
        search = Evolver(SPACE, counted, fitness, strategy=used, seed=seed)
        found = search.run(candidates, progress=False)
        return hypervolume([t.score.values for t in found.front], [-1, -1])

    return np.array([volume(strategy, s) - volume(RandomSearch(), s) for s in range(6)])
