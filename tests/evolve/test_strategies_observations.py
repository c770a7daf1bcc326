"""What trials are to the surrogate's model, and what it makes of a prediction: by numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rosearch.evolve.comparison.tabular import load
from rosearch.evolve.strategies.surrogate import surrogate
from rosearch.evolve.strategies.surrogate.observations import Observations
from rosearch.evolve.strategies.surrogate.prediction import Prediction, Predictor
from rosearch.evolve.strategies.surrogate.surrogate import (
    SurrogateEvolution,
    chebyshev,
    improvement,
)
from rosearch.evolve.testing import make_trial
from rosearch.fitness import Fitness, Score
from rosearch.seeding import generator
from rosearch.space.features import features
from tests.evolve.evaluations import SPACE, synthetic

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


def test_a_trial_is_one_row_and_lower_rungs_are_moved():
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


def test_violations_move_as_those_of_trials_that_broke_something():
    kept = [runged(k, (1, 0), (1, 0)) for k in range(9)]
    came_to_keep = [runged(k, (1, 0.2), (1, 0)) for k in range(9, 12)]
    stopped = [runged(12, (1, 0.2)), runged(13, (1, 0.5)), runged(14, (1, 0))]
    found = Observations.of([*kept, *came_to_keep, *stopped])
    # By 0.2, not by 0.05 as the mean of all would have it; and what kept all stays as it is.
    np.testing.assert_allclose(found.violations[12:], [-0.3, 0.3, -0.3])
    assert found.reached.shape == (12, 1)


def test_where_nothing_feasible_is_complete_what_is_feasible_below_counts():
    found = Observations.of(
        [runged(0, (1, 0), (2, 0.1)), runged(1, (1.4, 0)), runged(2, (1.5, 1.0))]
    )
    np.testing.assert_allclose(found.reached, [[2.4]])


def test_infeasible_trials_lose_in_proportion_to_their_violation():
    values, broken = [1.0, 1.4, 2.0, 2.0, 2.0, 0.5], [0, 0, 0.1, 0.2, 0.6, 0.05]
    found = Observations.of(trials(*values, violations=broken))
    # The median of 0.05, 0.1, 0.2 and 0.6 is 0.15; none gains.
    np.testing.assert_allclose(found.values[:, 0], [1.0, 1.4, 1.0 + 1 / 3, 1.0, 1.0, 0.5])
    np.testing.assert_allclose(found.violations, [-0.15, -0.15, 0.1, 0.2, 0.3, 0.05])
    assert found.reached.tolist() == [[1.0], [1.4]]
    only_bad = Observations.of(trials(3.0, 1.0, violations=[1.0, 2.0]))
    assert only_bad.values[:, 0].tolist() == [3.0, 1.0]
    assert only_bad.reached.shape == (0, 1)


def test_failed_trials_count_as_the_worst_and_as_infeasible_as_most():
    found = Observations.of(trials(1.0, None, 1.4, 2.0, violations=[0, 0, 0, 0.4]))
    assert found.features[-1] == features(GENOMES[1])
    np.testing.assert_allclose(found.values[:, 0], [1.0, 1.4, 1.0, 1.0])
    np.testing.assert_allclose(found.violations, [-0.4, -0.4, 0.4, 0.4])
    one_good = Observations.of(trials(1.0, 0.8, 0.0, None, violations=[0, 0.1, 0.2, 0]))
    assert one_good.values[:, 0].argmax() == 0
    assert one_good.values[-1, 0] == one_good.values.min() < 0.5
    with pytest.raises(ValueError, match="none of 2 has one"):
        Observations.of(trials(None, None))


def test_low_outliers_are_raised_but_not_above_what_is_common():
    values = [1.0, 1.1, 1.2, 1.3, 1.4, -50.0, None]
    found = Observations.of(trials(*values)).values[:, 0]
    np.testing.assert_allclose(found[:5], values[:5])
    np.testing.assert_allclose(found[5:], 1.15 - 2 * (1.4 - 1.15))
    # Most are as good as any, or nearly; the others and the failed one stay worse.
    for best in (1.0, 1.0001):
        found = Observations.of(trials(*[1.0] * 20, best, *[0.2] * 10, None)).values[:, 0]
        assert found[:21].tolist() == [1.0] * 20 + [best]
        np.testing.assert_allclose(found[21:], 0.2)


@pytest.mark.parametrize("outlier", [0.0, 5.0])
def test_one_large_violation_and_failures_leave_the_others_known(outlier):
    def broken(genome):
        return max(0.0, 0.15 * np.log2(genome.width / 128))

    known = [make_trial(k, g, [1.0], violation=broken(g)) for k, g in enumerate(GENOMES[:80])]
    worst = next(k for k, trial in enumerate(known) if not trial.score.feasible)
    known[worst] = make_trial(worst, GENOMES[worst], [1.0], violation=0.1 + outlier)
    known += [make_trial(k, GENOMES[k], None) for k in range(80, 88)]
    rest = GENOMES[90:]
    found = Predictor().predict(known, [features(genome) for genome in rest]).feasible < 0.5
    assert (found == np.array([broken(genome) > 0 for genome in rest])).mean() > 0.85


def test_an_operator_that_no_trial_had_is_unknown_also_where_all_have_the_same():
    """As where a search starts with hand-designed students: all have one embedding."""
    alike = [g for g in GENOMES if g.embedding.operator == GENOMES[0].embedding.operator]
    pooled = [replace(g, pooling="mean") for g in alike]
    other = replace(pooled[0], pooling="max")
    known = [make_trial(k, g, [synthetic(g, seed=0)["accuracy"]]) for k, g in enumerate(pooled)]
    found = Predictor().predict(known, [features(pooled[0]), features(other)])
    assert found.deviation[1, 0] > 1.3 * found.deviation[0, 0]


def test_expected_improvement_is_the_mean_of_what_is_above():
    rng = np.random.default_rng(0)
    above, deviation = np.array([-1.0, -0.2, 0.0, 0.3, 2.0]), np.array([0.5, 0.5, 1.0, 0.1, 1.0])
    draws = above + deviation * rng.standard_normal((400_000, 1))
    wanted = np.maximum(draws, 0).mean(axis=0)
    np.testing.assert_allclose(improvement(above, deviation), wanted, atol=5e-3)
    assert improvement(np.array([0.5, -0.5]), np.zeros(2)) == pytest.approx([0.5, 0.0])


def prediction(mean, *, deviation=0.0, feasible=1.0, reached=((1.0,),)):
    mean = np.array(mean, dtype=np.float64)
    return Prediction(
        mean,
        np.broadcast_to(np.array(deviation, dtype=np.float64), mean.shape),
        np.broadcast_to(np.array(feasible, dtype=np.float64), len(mean)),
        np.array(reached, dtype=np.float64).reshape(-1, mean.shape[1]),
        np.zeros(mean.shape[1]),
        np.ones(mean.shape[1]),
    )


def order(found, **settings):
    return SurrogateEvolution(**settings)._order(found, generator(0))


def test_the_order_is_by_expected_improvement_times_feasibility():
    assert order(prediction([[1.1], [1.3], [1.2]])) == [1, 2, 0]
    assert order(prediction([[1.1], [1.3], [1.2]], feasible=[0.9, 0.1, 0.9])) == [2, 0, 1]
    # A mean below the best with room above is worth more than one that is just there.
    unsure = prediction([[1.0], [0.9]], deviation=[[0.01], [0.5]])
    assert order(unsure) == [1, 0]
    assert order(unsure, exploration=0.0) == [0, 1]
    # Nothing is feasible yet: what most likely will be, then the higher mean.
    nothing = prediction([[0.9], [0.1], [0.2]], feasible=[0.2, 0.8, 0.8], reached=())
    assert order(nothing) == [2, 1, 0]


@pytest.mark.parametrize("objectives", [1, 2])
def test_where_nothing_is_better_the_feasible_come_first(objectives):
    found = prediction(
        [[0.5] * objectives, [0.4] * objectives, [0.3] * objectives],
        feasible=[0.0, 0.9, 1.0],
        reached=[[1.0] * objectives],
    )
    assert order(found, exploration=0.0) == [1, 2, 0]


def test_several_objectives_are_weighed_as_the_worst_and_a_little_of_all():
    weighed = chebyshev(prediction([[0.0, 0.0]], reached=()), np.array([0.25, 0.75]))
    # Short of the best by 0.2 and 0.4 of the range, times the weights.
    np.testing.assert_allclose(weighed(np.array([0.8, 0.6])), -0.3 + 0.05 * (-0.05 - 0.3))
    points = weighed(np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]))
    assert points.argmax() == 0
    assert points[1] < points[2]


def test_several_objectives_are_explored_too(monkeypatch):
    monkeypatch.setattr(surrogate, "_DRAWS", 4000)
    found = prediction(
        [[0.7, 0.7], [0.69, 0.69], [0.2, 0.2]],
        deviation=[[0.0, 0.0], [0.3, 0.3], [0.0, 0.0]],
        reached=[[0.7, 0.7]],
    )
    assert order(found) == [1, 0, 2]
    assert order(found, exploration=0.0) == [0, 1, 2]


@pytest.mark.parametrize("settings", [{"exploration": "1"}, {"samples": "a"}, {"crossover": True}])
def test_settings_that_are_no_numbers_are_refused(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} is a finite number"):
        SurrogateEvolution(**settings)


def test_it_extrapolates_to_the_genomes_of_a_search():
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
