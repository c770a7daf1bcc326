"""Predictions of the surrogate on the table of trained students."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from tabular import load

from rosearch.evolve.strategies.surrogate.prediction import (
    Predictor,
)
from rosearch.evolve.testing import make_trial
from rosearch.fitness import Fitness
from rosearch.space.features import features


def test_predictions_extrapolate_to_genomes_of_a_search():
    """On the table of real students: what a search chose is larger and better than the samples."""
    table = load()
    searched = np.array([source == "searched" for source in table.made["sources"]])
    fitness = Fitness({"robustness": 2.0, "accuracy": 1.0}, constraints={"accuracy": (0.6, None)})
    scores = [fitness.score(row) for row in table.rungs[-1]]
    of = [i for i in np.flatnonzero(searched) if scores[i].feasible]
    measured = np.argsort(np.argsort([scores[i].values[0] for i in of]))
    found = []
    for draw in range(6):
        chosen = np.random.default_rng(draw).permutation(table.samples)[:40]
        known = [
            replace(make_trial(k, table.genomes[i], [0.0]), score=scores[i], scores=(scores[i],))
            for k, i in enumerate(chosen)
        ]
        mean = Predictor().predict(known, [features(table.genomes[i]) for i in of]).mean[:, 0]
        found.append(np.corrcoef(np.argsort(np.argsort(mean)), measured)[0, 1])
    assert np.mean(found) > 0.27  # 0.38; 0.20 with a covariance that is smooth alone
