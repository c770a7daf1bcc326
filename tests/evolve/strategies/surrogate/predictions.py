"""Genomes to train on and to test on, and predictions for them."""

from __future__ import annotations

import numpy as np

from rosearch.evolve.strategies.surrogate.prediction import Predictor
from rosearch.space.features import features
from tests.evolve.evaluations import FITNESS, SPACE, synthetic

GENOMES = [SPACE.sample(seed=k) for k in range(90)]
TEST = [SPACE.sample(seed=1000 + k) for k in range(60)]


def worth(genome):
    return FITNESS.score(synthetic(genome, seed=0)).values[0]


def correlation(a, b):
    return float(np.corrcoef(np.argsort(np.argsort(a)), np.argsort(np.argsort(b)))[0, 1])


def expected(trials, genomes=TEST):
    return Predictor().predict(trials, [features(genome) for genome in genomes])
