"""Studies with invented metrics, made of real genomes."""

from __future__ import annotations

import functools

import numpy as np

from rosearch.evolve import SearchResult
from rosearch.evolve.study.trials import Failure, TrialRecord
from rosearch.fitness import Fitness
from rosearch.space import SearchSpace
from rosearch.space.descriptors import descriptors

FITNESS = Fitness({"robustness": 1.0, "accuracy": 1.0, "compression": 0.1})


@functools.cache
def genomes(count=150):
    """Different genomes of the default space, the same in every run."""
    space, found, seed = SearchSpace(), {}, 0
    while len(found) < count:
        genome = space.sample(seed=seed)
        found.setdefault(genome.key, genome)
        seed += 1
    return tuple(found.values())


@functools.cache
def described(count=150):
    return tuple(descriptors(genome) for genome in genomes(count))


def column(name, count=150):
    return np.array([d[name] for d in described(count)])


def trial(number, genome, metrics, state="complete"):
    score = FITNESS.score(metrics) if state == "complete" else None
    failure = Failure("ValueError", "no luck", "") if state == "failed" else None
    return TrialRecord(
        number, genome, genome.key, number, state, metrics if score else {}, score, 1.0, failure
    )


def result(trials, study="study"):
    return SearchResult.from_trials(study, trials, FITNESS)


def study(robustness, accuracy, *, extra=()):
    """A study whose candidates have these metrics, and compression by their size."""
    count = len(robustness)
    size = column("parameters", count)
    rows = zip(genomes(count), robustness, accuracy, size, strict=True)
    trials = [
        trial(
            i,
            genome,
            {
                "accuracy": float(a),
                "accuracy_under_attack": float(r),
                "compression": 110e6 / p,
                "parameters": float(p),
            },
        )
        for i, (genome, r, a, p) in enumerate(rows)
    ]
    return result([*trials, *extra])


def noise(seed, count=150):
    """Accuracy and robustness that no descriptor has to do with."""
    rng = np.random.default_rng(seed)
    accuracy = rng.normal(0.8, 0.03, count)
    return 0.3 * accuracy + rng.normal(0, 0.03, count), accuracy


def standard(values):
    return (values - values.mean()) / values.std()
