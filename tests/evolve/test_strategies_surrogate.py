"""The surrogate: its Gaussian process, what it makes of trials, and that it saves evaluations."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from rosearch.evolve import Evolver, RandomSearch, RegularizedEvolution, SurrogateEvolution
from rosearch.evolve.strategies.surrogate import prediction
from rosearch.evolve.strategies.surrogate.gaussian import (
    Features,
    GaussianProcess,
    Hyperparameters,
    covariance,
    products,
)
from rosearch.evolve.strategies.surrogate.prediction import Predictor
from rosearch.evolve.testing import make_trial
from rosearch.fitness import Fitness, Score
from rosearch.seeding import generator
from rosearch.space.features import feature_matrix, features
from tests.evolve.evaluations import FITNESS, SPACE, synthetic

PRIOR = Hyperparameters((-1.0, -1.0, -1.0), linear=-1.0, noise=-2.0)
GENOMES = [SPACE.sample(seed=k) for k in range(90)]
TEST = [SPACE.sample(seed=1000 + k) for k in range(60)]


def problem(seed=0, count=40):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(count, 7))
    targets = np.column_stack([np.sin(matrix[:, 0]) + matrix[:, 3], matrix[:, 6]])
    return Features(matrix, np.array([0, 0, 0, 1, 1, 2, 2]), 3), targets


def worth(genome):
    return FITNESS.score(synthetic(genome, seed=0)).values[0]


def correlation(a, b):
    return float(np.corrcoef(np.argsort(np.argsort(a)), np.argsort(np.argsort(b)))[0, 1])


def expected(trials, genomes=TEST):
    return Predictor().predict(trials, [features(genome) for genome in genomes])


@pytest.mark.parametrize("rungs", [False, True])
def test_the_gradient_of_the_likelihood(rungs):
    features, targets = problem()
    rung = np.arange(len(targets)) % 2
    between = 0.7 ** abs(rung[:, None] - rung) if rungs else None
    process = GaussianProcess(features, targets, prior=PRIOR, between=between)
    at = PRIOR.array() + 0.2
    slope = process._likelihood(at)[1]
    numeric = [
        (process._likelihood(at + 1e-5 * e)[0] - process._likelihood(at - 1e-5 * e)[0]) / 2e-5
        for e in np.eye(len(at))
    ]
    np.testing.assert_allclose(slope, numeric, rtol=1e-4, atol=1e-5)


def test_the_prediction_is_the_textbook_one():
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


def test_fitting_finds_likelier_hyperparameters_and_the_group_that_matters():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(80, 6))
    targets = np.sin(2 * matrix[:, :1]) + 0.05 * rng.normal(size=(80, 1))
    features = Features(matrix, np.array([0, 1, 1, 1, 2, 2]), 3)
    process = GaussianProcess(features, targets, prior=PRIOR)
    likelihood = process._likelihood(process.values.array())[0]
    assert likelihood > process._likelihood(PRIOR.array())[0]
    assert np.argmax(process.values.weights) == 0


def test_targets_that_are_all_equal_are_predicted_as_they_are():
    features, targets = problem()
    process = GaussianProcess(features, np.full((len(targets), 1), 0.5), prior=PRIOR)
    mean, deviation = process.predict(np.zeros((3, 7)))
    np.testing.assert_allclose(mean, 0.5)
    assert np.isfinite(deviation).all()


def test_it_ranks_genomes_that_it_has_not_seen():
    trials = [make_trial(k, g, [worth(g)]) for k, g in enumerate(GENOMES)]
    wanted = [worth(g) for g in TEST]
    assert correlation(expected(trials).mean[:, 0], wanted) > 0.75
    few = correlation(expected(trials[:20]).mean[:, 0], wanted)
    assert 0.2 < few < correlation(expected(trials).mean[:, 0], wanted)


def test_of_what_no_trial_had_less_is_known():
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
    process = Predictor()
    process.predict(trials, [features(before)])
    observations, gp, names = process._known(trials)
    columns = tuple(names) + tuple(sorted(set(features(unknown)) - set(names)))
    wide, _ = feature_matrix(observations.features, columns)
    groups = np.array([prediction._group(name) for name in columns])
    whole = GaussianProcess(
        Features(wide, groups, len(prediction._GROUPS)),
        np.column_stack([observations.values, observations.violations]),
        prior=prediction._PRIOR,
        values=gp.values,
    )
    mean, deviation = whole.predict(feature_matrix([features(unknown)], columns)[0])
    np.testing.assert_allclose(found.mean[1], mean[0, :-1], rtol=1e-9)
    np.testing.assert_allclose(found.deviation[1], deviation[0, :-1], rtol=1e-9)


def test_lower_rungs_help():
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


def test_what_fails_is_expected_to_be_bad():
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
def test_what_infeasible_trials_reach_is_not_believed(late):
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


def test_where_all_are_infeasible_what_they_reach_counts():
    trials = [make_trial(k, g, [worth(g)], violation=1.0) for k, g in enumerate(GENOMES)]
    assert correlation(expected(trials).mean[:, 0], [worth(g) for g in TEST]) > 0.5


def test_many_trials_are_no_burden():
    trials = [make_trial(k, SPACE.sample(seed=k), [float(k % 17)]) for k in range(700)]
    strategy = SurrogateEvolution(pool=20)
    strategy.propose(SPACE, trials, number=700, rng=generator(0))
    start = time.process_time()
    strategy.propose(SPACE, trials[:-1], number=699, rng=generator(0))
    assert time.process_time() - start < 5


def test_it_proposes_nothing_that_was_tried():
    trials = [make_trial(k, g, [worth(g)]) for k, g in enumerate(GENOMES[:30])]
    strategy = SurrogateEvolution(initial=2, pool=8)
    tried = {t.key for t in trials}
    for seed in range(10):
        genome = strategy.propose(SPACE, trials, number=30, rng=generator(seed))
        assert genome.key not in tried


def test_it_beats_regularized_evolution_at_equal_budget():
    def found(strategy, seed):
        search = Evolver(SPACE, synthetic, FITNESS, strategy=strategy, seed=seed)
        return search.run(35, progress=False).best.score.values[0]

    gains = np.array(
        [
            found(SurrogateEvolution(pool=40), seed) - found(RegularizedEvolution(), seed)
            for seed in range(6)
        ]
    )
    # The mean gain is at least two standard errors above nothing.
    assert gains.mean() > 2 * gains.std(ddof=1) / np.sqrt(len(gains)), gains


def test_it_learns_what_the_constraints_allow():
    fitness = Fitness({"accuracy": 1.0}, constraints={"robustness": (0.3, None)})

    def feasible(strategy, seed):
        search = Evolver(SPACE, synthetic, fitness, strategy=strategy, seed=seed)
        trials = search.run(30, progress=False).trials
        return np.mean([t.score.feasible for t in trials[10:]])

    model = [feasible(SurrogateEvolution(pool=40), seed) for seed in range(3)]
    chance = [feasible(RandomSearch(), seed) for seed in range(3)]
    assert min(model) > max(chance)
    assert np.mean(model) > np.mean(chance) + 0.2, (model, chance)


@pytest.mark.parametrize(
    "settings",
    [{"initial": 1}, {"pool": 1}, {"parents": 0}, {"samples": 2.0}, {"exploration": -1.0}],
)
def test_senseless_settings_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        SurrogateEvolution(**settings)
