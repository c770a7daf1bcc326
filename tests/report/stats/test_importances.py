"""Forests and permutation importances."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor

from rosearch.report.stats.importances import importances, row_scores


def data(seed, n=100):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=n) for name in ("a", "b", "c", "d")}, rng.normal(size=n)


def asked(descriptors, values, **settings):
    return importances(
        descriptors, "y", values, **({"trees": 30, "confidence": 0.95, "seed": 0} | settings)
    )


def test_relevant_descriptors_are_found_and_r2_is_on_held_out_rows():
    descriptors, noise = data(0)
    values = np.sin(2 * descriptors["a"]) + descriptors["b"] ** 2 + 0.3 * noise
    forest, found = asked(descriptors, values)
    assert 0.4 < forest.r2 < 0.9
    assert forest.low < forest.r2 < forest.high
    by_name = {i.name: i for i in found}
    for name in ("a", "b"):
        assert by_name[name].excludes_null
        assert by_name[name].p < 0.01
        assert by_name[name].low < by_name[name].estimate < by_name[name].high
    for name in ("c", "d"):
        assert abs(by_name[name].estimate) < 0.05


def test_a_forest_that_cannot_predict_has_no_importances():
    for seed in range(5):
        forest, found = asked(*data(seed))
        assert not forest.predicts
        assert forest.r2 < 0.1
        assert found == []


def test_equal_seeds_give_equal_forests():
    descriptors, noise = data(0)
    values = descriptors["a"] + noise
    assert asked(descriptors, values) == asked(descriptors, values)
    assert asked(descriptors, values) != asked(descriptors, values, seed=1)


def test_row_scores_equal_those_of_forest_predict():
    descriptors, noise = data(0)
    matrix = np.stack(list(descriptors.values()), axis=1)
    values = descriptors["a"] + noise
    forest = RandomForestRegressor(20, random_state=0).fit(matrix, values)
    scores = row_scores(forest, matrix, values)
    expected = -((values - forest.predict(matrix)) ** 2)
    assert list(scores.values()) == pytest.approx(list(expected))


@pytest.mark.slow
def test_false_positive_rate_of_importances():
    # Four descriptors, one of which matters; each other is called important at 5 % too often at
    # most. 3 * 40 tests at that rate give more than 14 once in a thousand times.
    false = 0
    for seed in range(40):
        descriptors, noise = data(seed)
        _, found = asked(descriptors, descriptors["a"] + 0.5 * noise, trees=20)
        assert found[0].excludes_null
        false += sum(i.p < 0.05 for i in found[1:])
    assert false <= 14
