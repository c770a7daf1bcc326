"""The Gaussian process: likelihood, prediction, fitting."""

from __future__ import annotations

import numpy as np
import pytest

from rosearch.evolve.strategies.surrogate.gaussian import (
    Features,
    GaussianProcess,
    Hyperparameters,
    covariance,
    products,
)

PRIOR = Hyperparameters((-1.0, -1.0, -1.0), linear=-1.0, noise=-2.0)


def problem(seed=0, count=40):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(count, 7))
    targets = np.column_stack([np.sin(matrix[:, 0]) + matrix[:, 3], matrix[:, 6]])
    return Features(matrix, np.array([0, 0, 0, 1, 1, 2, 2]), 3), targets


@pytest.mark.parametrize("rungs", [False, True])
def test_gradient_of_the_likelihood(rungs):
    features, targets = problem()
    rung = np.arange(len(targets)) % 2
    between = 0.7 ** abs(rung[:, None] - rung) if rungs else 1.0
    repeats = 1.0 + rung if rungs else 1.0
    process = GaussianProcess(features, targets, prior=PRIOR, between=between, repeats=repeats)
    at = PRIOR.array() + 0.2

    def likelihood(array):
        return process.likelihood(Hyperparameters.of(array))

    slope = likelihood(at)[1]
    numeric = [
        (likelihood(at + 1e-5 * e)[0] - likelihood(at - 1e-5 * e)[0]) / 2e-5
        for e in np.eye(len(at))
    ]
    np.testing.assert_allclose(slope, numeric, rtol=1e-4, atol=1e-5)


def test_prediction_equals_the_textbook_formula():
    features, targets = problem()
    process = GaussianProcess(features, targets, prior=PRIOR, values=PRIOR)
    rows = np.random.default_rng(1).normal(size=(5, 7))
    mean, deviation = process.predict(rows)
    kernel = covariance(*products(features.rows, features.rows), PRIOR)
    kernel += (np.exp(PRIOR.noise) + 1e-6) * np.eye(len(kernel))
    new = features.blocks(rows)
    cross = covariance(*products(new, features.rows), PRIOR)
    own = np.diag(covariance(*products(new, new), PRIOR))
    middle, spread = targets.mean(0), targets.std(0)
    scaled = (targets - middle) / spread
    np.testing.assert_allclose(mean, cross @ np.linalg.solve(kernel, scaled) * spread + middle)
    scale = np.einsum("ij,ij->j", scaled, np.linalg.solve(kernel, scaled)) / len(scaled)
    left = own - np.einsum("ij,ij->i", cross, np.linalg.solve(kernel, cross.T).T)
    np.testing.assert_allclose(deviation, np.sqrt(left)[:, None] * np.sqrt(scale) * spread)


def test_a_mean_of_two_counts_as_much_as_both():
    targets = problem()[1]
    rows = np.random.default_rng(0).normal(size=(40, 7))
    first, second = targets, targets + np.random.default_rng(2).normal(size=targets.shape)
    means = (first + second) / 2
    twice = Features(np.tile(rows, (2, 1)), np.array([0, 0, 0, 1, 1, 2, 2]), 3)
    once = Features(rows, np.array([0, 0, 0, 1, 1, 2, 2]), 3)
    together = GaussianProcess(twice, np.concatenate([first, second]), prior=PRIOR, values=PRIOR)
    mean = GaussianProcess(once, means, prior=PRIOR, values=PRIOR, repeats=np.full(40, 2.0))
    new = np.random.default_rng(1).normal(size=(5, 7))
    np.testing.assert_allclose(mean.predict(new)[0], together.predict(new)[0], rtol=1e-3)


def test_fitting_increases_the_likelihood_and_finds_the_relevant_group():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(80, 6))
    targets = np.sin(2 * matrix[:, :1]) + 0.05 * rng.normal(size=(80, 1))
    features = Features(matrix, np.array([0, 1, 1, 1, 2, 2]), 3)
    process = GaussianProcess(features, targets, prior=PRIOR)
    likelihood = process.likelihood(process.values)[0]
    assert likelihood > process.likelihood(PRIOR)[0]
    assert np.argmax(process.values.weights) == 0


def test_constant_targets_are_predicted():
    features, targets = problem()
    process = GaussianProcess(features, np.full((len(targets), 1), 0.5), prior=PRIOR)
    mean, deviation = process.predict(np.zeros((3, 7)))
    np.testing.assert_allclose(mean, 0.5)
    assert np.isfinite(deviation).all()
