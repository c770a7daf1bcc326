"""Predictions of the surrogate model for new genomes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rosearch.evolve.strategies.surrogate.gaussian import (
    Features,
    GaussianProcess,
)
from rosearch.evolve.strategies.surrogate.observations import Observations
from rosearch.evolve.strategies.surrogate.prediction import (
    GROUPS,
    PRIOR,
    Predictor,
    fit_process,
    group_of,
)
from rosearch.evolve.testing import make_trial
from rosearch.fitness import Score
from rosearch.space.features import feature_matrix, features
from tests.evolve.evaluations import SPACE, synthetic
from tests.evolve.strategies.surrogate.predictions import (
    GENOMES,
    TEST,
    correlation,
    expected,
    worth,
)


def test_new_genomes_are_ranked():
    trials = [make_trial(k, g, [worth(g)]) for k, g in enumerate(GENOMES)]
    wanted = [worth(g) for g in TEST]
    assert correlation(expected(trials).mean[:, 0], wanted) > 0.75
    few = correlation(expected(trials[:20]).mean[:, 0], wanted)
    assert 0.2 < few < correlation(expected(trials).mean[:, 0], wanted)


def test_unseen_operator_increases_the_uncertainty():
    known = [g for g in GENOMES if all(n.operator != "attention" for n in g.nodes)]
    trials = [make_trial(k, g, [worth(g)]) for k, g in enumerate(known)]
    before = next(g for g in known if any(n.operator == "feed_forward" for n in g.nodes))
    unknown = replace(
        before,
        nodes=tuple(
            replace(node, operator="attention", parameters={"heads": 4})
            if node.operator == "feed_forward"
            else node
            for node in before.nodes
        ),
    )
    found = expected(trials, [before, unknown])
    assert found.deviation[1, 0] > 1.3 * found.deviation[0, 0]
    # As much as where the model has all columns and none of the observations has the operator.
    observations = Observations.of(trials)
    first = Observations.of(trials[: len(trials) // 10 * 10])
    values = fit_process(first, None)[0].values
    gp, names = fit_process(observations, values)
    columns = tuple(names) + tuple(sorted(set(features(unknown)) - set(names)))
    wide, _ = feature_matrix(observations.features, columns)
    groups = np.array([group_of(name) for name in columns])
    whole = GaussianProcess(
        Features(wide, groups, len(GROUPS)),
        np.column_stack([observations.values, observations.violations]),
        prior=PRIOR,
        values=gp.values,
    )
    mean, deviation = whole.predict(feature_matrix([features(unknown)], columns)[0])
    np.testing.assert_allclose(found.mean[1], mean[0, :-1], rtol=1e-9)
    np.testing.assert_allclose(found.deviation[1], deviation[0, :-1], rtol=1e-9)


def test_lower_rungs_improve_predictions():
    def rungs(k, genome):
        # The lower rung is worth ten less, and one in eight reaches the higher one.
        low, high = worth(genome) - 10, worth(genome)
        values = [low] if k % 8 else [low, high]
        scores = tuple(Score((v,), ("maximize",), {}, True, 0.0) for v in values)
        trial = make_trial(k, genome, values[-1:], rung=len(values) - 1, stopped=len(values) == 1)
        object.__setattr__(trial, "scores", scores)
        return trial

    trials = [rungs(k, genome) for k, genome in enumerate(GENOMES)]
    wanted = [worth(g) for g in TEST]
    both = expected(trials)
    only = expected([make_trial(t.number, t.genome, [worth(t.genome)]) for t in trials[::8]])
    assert correlation(both.mean[:, 0], wanted) > correlation(only.mean[:, 0], wanted)
    # Expected are scores of the higher rung.
    assert abs(both.mean.mean() - np.mean(wanted)) < 0.2


def test_failures_are_predicted():
    def fails(genome):
        return genome.pooling == "max"

    def trial(k, genome):
        return make_trial(k, genome, None if fails(genome) else [worth(genome)])

    trials = [trial(k, genome) for k, genome in enumerate(GENOMES)]
    mean = expected(trials).mean[:, 0]
    bad = np.array([fails(g) for g in TEST])
    others = expected([t for t in trials if t.score is not None]).mean[:, 0]
    assert mean[bad].mean() < mean[~bad].mean() - 0.5 * mean.std()
    assert mean[bad].mean() < others[bad].mean()


def test_violations_are_predicted():
    def violation(genome):
        return max(0.0, np.log2(genome.width / 128))

    trials = [make_trial(k, g, [worth(g)], violation=violation(g)) for k, g in enumerate(GENOMES)]
    found = expected(trials).feasible < 0.5
    wanted = np.array([violation(g) > 0 for g in TEST])
    assert (found == wanted).mean() > 0.85
    assert (expected([make_trial(0, GENOMES[0], [1.0])] * 3).feasible == 1).all()


@pytest.mark.parametrize("late", [False, True])
def test_objectives_of_infeasible_trials_are_discounted(late):
    def broken(genome):
        return float(genome.pooling == "max")

    def trial(k, genome):
        made = make_trial(
            k, genome, [worth(genome) + 5 * broken(genome)], violation=broken(genome), rung=1
        )
        first = replace(made.score, feasible=True, violation=0.0) if late else made.score
        return replace(made, scores=(first, made.score))

    bad = np.array([broken(g) > 0 for g in TEST])
    mean = expected([trial(k, g) for k, g in enumerate(GENOMES)]).mean[:, 0]
    assert mean[bad].mean() < mean[~bad].mean()


def test_objectives_count_if_all_trials_are_infeasible():
    trials = [make_trial(k, g, [worth(g)], violation=1.0) for k, g in enumerate(GENOMES)]
    assert correlation(expected(trials).mean[:, 0], [worth(g) for g in TEST]) > 0.5


MORE = [SPACE.sample(seed=k) for k in range(150)]


@pytest.mark.parametrize("outlier", [0.0, 5.0])
def test_outliers_do_not_spoil_predicted_feasibility(outlier):
    def broken(genome):
        return max(0.0, 0.15 * np.log2(genome.width / 128))

    known = [make_trial(k, g, [1.0], violation=broken(g)) for k, g in enumerate(MORE[:80])]
    worst = next(k for k, trial in enumerate(known) if not trial.score.feasible)
    known[worst] = make_trial(worst, MORE[worst], [1.0], violation=0.1 + outlier)
    known += [make_trial(k, MORE[k], None) for k in range(80, 88)]
    rest = MORE[90:]
    found = Predictor().predict(known, [features(genome) for genome in rest]).feasible < 0.5
    assert (found == np.array([broken(genome) > 0 for genome in rest])).mean() > 0.85


def test_unseen_value_of_a_constant_feature_increases_the_uncertainty():
    """As where a search starts with hand-designed students: all have one embedding."""
    alike = [g for g in MORE if g.embedding.operator == MORE[0].embedding.operator]
    pooled = [replace(g, pooling="mean") for g in alike]
    other = replace(pooled[0], pooling="max")
    known = [make_trial(k, g, [synthetic(g, seed=0)["accuracy"]]) for k, g in enumerate(pooled)]
    found = Predictor().predict(known, [features(pooled[0]), features(other)])
    assert found.deviation[1, 0] > 1.3 * found.deviation[0, 0]
