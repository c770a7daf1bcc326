"""Training data of the surrogate model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rosearch.evolve.strategies.surrogate.observations import Observations
from rosearch.evolve.testing import make_trial
from rosearch.fitness import Score
from rosearch.space.features import features
from tests.evolve.evaluations import SPACE

GENOMES = [SPACE.sample(seed=k) for k in range(150)]


def trials(*values, violations=None):
    """Trials of one objective; a value of ``None`` is a failure."""
    broken = violations or [0.0] * len(values)
    made = enumerate(zip(values, broken, strict=True))
    return [
        make_trial(k, GENOMES[k], None if v is None else [v], violation=b) for k, (v, b) in made
    ]


def runged(number, *scores):
    """A trial of some rungs, each a value and a violation."""
    made = tuple(Score((float(v),), ("maximize",), {}, b == 0, float(b)) for v, b in scores)
    trial = make_trial(number, GENOMES[number], [0.0], rung=len(made) - 1, stopped=len(made) == 1)
    return replace(trial, score=made[-1], scores=made)


def test_scores_of_lower_rungs_are_adjusted():
    found = Observations.of(
        [
            runged(0, (1.0, 0), (1.5, 0)),
            runged(1, (2.0, 0), (2.1, 0)),
            runged(2, (1.7, 0)),
            runged(3, (1.2, 0)),
        ]
    )
    assert found.features == [features(genome) for genome in GENOMES[:4]]
    np.testing.assert_allclose(found.values[:, 0], [1.5, 2.1, 2.0, 1.5])  # by 0.3
    assert found.below.tolist() == [0, 0, 1, 1]
    assert found.reached.tolist() == [[1.5], [2.1]]
    assert not found.violations.any()


def test_trainings_are_counted():
    twice = [{"accuracy": 0.5}, {"accuracy": 0.5, "trainings": 2.0}]
    whole = replace(runged(0, (1.0, 0), (1.5, 0)), rungs=tuple(twice))
    stopped = replace(runged(1, (1.0, 0)), rungs=tuple(twice[:1]))
    without_rungs, failed = trials(1.2, 1.2, 1.2, None)[2:]
    without_rungs = replace(without_rungs, metrics={"accuracy": 0.5, "trainings": 3.0})
    found = Observations.of([whole, stopped, without_rungs, failed])
    assert found.trainings.tolist() == [2, 1, 3, 1]
    for value in (0.0, -2.0, float("nan"), float("inf")):  # something else of that name
        other = replace(without_rungs, metrics={"accuracy": 0.5, "trainings": value})
        assert Observations.of([other]).trainings.tolist() == [1]


def test_violations_of_lower_rungs_are_adjusted():
    kept = [runged(k, (1, 0), (1, 0)) for k in range(9)]
    came_to_keep = [runged(k, (1, 0.2), (1, 0)) for k in range(9, 12)]
    stopped = [runged(12, (1, 0.2)), runged(13, (1, 0.5)), runged(14, (1, 0))]
    found = Observations.of([*kept, *came_to_keep, *stopped])
    # By 0.2, not by 0.05 as the mean of all would have it; and what kept all stays as it is.
    np.testing.assert_allclose(found.violations[12:], [-0.3, 0.3, -0.3])
    assert found.reached.shape == (12, 1)


def test_feasible_trials_of_lower_rungs_count_as_reached():
    found = Observations.of(
        [runged(0, (1, 0), (2, 0.1)), runged(1, (1.4, 0)), runged(2, (1.5, 1.0))]
    )
    np.testing.assert_allclose(found.reached, [[2.4]])


def test_infeasible_trials_are_discounted_by_their_violation():
    values, broken = [1.0, 1.4, 2.0, 2.0, 2.0, 0.5], [0, 0, 0.1, 0.2, 0.6, 0.05]
    found = Observations.of(trials(*values, violations=broken))
    # The median of 0.05, 0.1, 0.2 and 0.6 is 0.15; none gains.
    np.testing.assert_allclose(found.values[:, 0], [1.0, 1.4, 1.0 + 1 / 3, 1.0, 1.0, 0.5])
    np.testing.assert_allclose(found.violations, [-0.15, -0.15, 0.1, 0.2, 0.3, 0.05])
    assert found.reached.tolist() == [[1.0], [1.4]]
    only_bad = Observations.of(trials(3.0, 1.0, violations=[1.0, 2.0]))
    assert only_bad.values[:, 0].tolist() == [3.0, 1.0]
    assert only_bad.reached.shape == (0, 1)


def test_failed_trials_count_as_the_worst():
    found = Observations.of(trials(1.0, None, 1.4, 2.0, violations=[0, 0, 0, 0.4]))
    assert found.features[-1] == features(GENOMES[1])
    np.testing.assert_allclose(found.values[:, 0], [1.0, 1.4, 1.0, 1.0])
    np.testing.assert_allclose(found.violations, [-0.4, -0.4, 0.4, 0.4])
    one_good = Observations.of(trials(1.0, 0.8, 0.0, None, violations=[0, 0.1, 0.2, 0]))
    assert one_good.values[:, 0].argmax() == 0
    assert one_good.values[-1, 0] == one_good.values.min() < 0.5


def test_low_outliers_are_raised():
    values = [1.0, 1.1, 1.2, 1.3, 1.4, -50.0, None]
    found = Observations.of(trials(*values)).values[:, 0]
    np.testing.assert_allclose(found[:5], values[:5])
    np.testing.assert_allclose(found[5:], 1.15 - 2 * (1.4 - 1.15))
    # Most are as good as any, or nearly; the others and the failed one stay worse.
    for best in (1.0, 1.0001):
        found = Observations.of(trials(*[1.0] * 20, best, *[0.2] * 10, None)).values[:, 0]
        assert found[:21].tolist() == [1.0] * 20 + [best]
        np.testing.assert_allclose(found[21:], 0.2)
