"""Correlations and their intervals against other ways to compute them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import stats

from rosearch.report.stats.correlations import (
    Plan,
    collinear,
    corrected,
    partial,
    relate,
    residuals,
    usable,
)


def columns(seed, n=80):
    """Five variables that depend on each other, with ties."""
    rng = np.random.default_rng(seed)
    size = rng.normal(size=n)
    accuracy = 0.6 * size + rng.normal(size=n)
    x = np.round(2 * (size + rng.normal(size=n)))
    z = rng.integers(0, 3, n).astype(float)
    robustness = 0.5 * accuracy + 0.4 * x + rng.normal(size=n)
    return {"x": x, "z": z}, {"size": size, "accuracy": accuracy, "robustness": robustness}


def related(descriptors, measures, plans, **settings):
    settings = {"resamples": 200, "confidence": 0.95, "rng": np.random.default_rng(0)} | settings
    return relate(descriptors, measures, plans, **settings)


def residual_correlation(x, y, given):
    """By regressing the ranks on those of what is held fixed, as textbooks define it."""
    ranks = [stats.rankdata(v) for v in (x, y)]
    held = np.stack([np.ones(len(x)), *(stats.rankdata(g) for g in given)], axis=1)
    rest = [r - held @ np.linalg.lstsq(held, r, rcond=None)[0] for r in ranks]
    return np.corrcoef(*rest)[0, 1]


@pytest.mark.parametrize("seed", range(3))
def test_plain_correlations_equal_scipy(seed):
    descriptors, measures = columns(seed)
    (table,) = related(descriptors, measures, [Plan("robustness", "robustness")])
    for r in table:
        expected = stats.spearmanr(descriptors[r.name], measures["robustness"])
        assert r.estimate == pytest.approx(expected.statistic)
        assert r.p == pytest.approx(expected.pvalue)
        assert r.low <= r.estimate <= r.high
        assert r.n == 80


@pytest.mark.parametrize("given", [("accuracy",), ("size", "accuracy")])
def test_partial_correlations_equal_those_of_residuals(given):
    descriptors, measures = columns(0)
    (table,) = related(descriptors, measures, [Plan("r", "robustness", given)])
    for r in table:
        expected = residual_correlation(
            descriptors[r.name], measures["robustness"], [measures[g] for g in given]
        )
        assert r.estimate == pytest.approx(expected)
        # The p-value of the coefficient in the regression of ranks is the same test.
        ranks = {k: stats.rankdata(v) for k, v in {**descriptors, **measures}.items()}
        design = np.stack([np.ones(80), ranks[r.name], *(ranks[g] for g in given)], axis=1)
        beta, (rss,), *_ = np.linalg.lstsq(design, ranks["robustness"], rcond=None)
        freedom = 80 - design.shape[1]
        error = np.sqrt(rss / freedom * np.linalg.inv(design.T @ design)[1, 1])
        assert r.p == pytest.approx(2 * stats.t.sf(abs(beta[1] / error), freedom))


def test_partial_correlation_equals_the_recursive_formula():
    rng = np.random.default_rng(0)
    matrix = np.corrcoef(rng.normal(size=(4, 30)))
    a, b, c = matrix[0, 1], matrix[0, 2], matrix[1, 2]
    expected = (a - b * c) / np.sqrt((1 - b**2) * (1 - c**2))
    assert partial(matrix, [2])[0, 1] == pytest.approx(expected)
    assert partial(matrix, []) is matrix


@pytest.mark.parametrize("levels", [3, 5])
@pytest.mark.parametrize("seed", [0, 5])
def test_one_column_for_each_level_is_as_one_less(levels, seed):
    # All columns together are dependent, and how nearly depends on how a machine rounds.
    descriptors, measures = columns(seed)
    of = np.random.default_rng(seed).integers(0, levels, 80)
    names = [f"level_{k}" for k in range(levels)]
    measures |= {name: (of == k).astype(float) for k, name in enumerate(names)}
    plans = [Plan("r", "robustness", tuple(given)) for given in (names, names[1:])]
    tables = related(descriptors, measures, plans, resamples=9)
    for all_levels, one_less in zip(*tables, strict=True):
        assert all_levels.estimate == pytest.approx(one_less.estimate)
        assert all_levels.p == pytest.approx(one_less.p)


def test_descriptors_collinear_with_a_fixed_column_are_not_tested():
    descriptors, measures = columns(0)
    descriptors["same"] = np.exp(measures["size"])
    (table,) = related(descriptors, measures, [Plan("r", "robustness", ("size",))])
    assert [r.name for r in table] == ["x", "z"]


@pytest.mark.slow
@pytest.mark.parametrize("given", [(), ("accuracy",)])
def test_intervals_have_nominal_coverage(given):
    # The true value is that of a very large sample. 200 studies at 95 % have a standard error of
    # 1.5 points; the bootstrap is known to lack a point or two at n = 60.
    descriptors, measures = columns(99, n=200_000)
    values = [measures[g] for g in given]
    truth = residual_correlation(descriptors["x"], measures["robustness"], values)
    hits = 0
    for seed in range(200):
        descriptors, measures = columns(seed, n=60)
        del descriptors["z"]
        plans = [Plan("r", "robustness", given)]
        ((r,),) = related(descriptors, measures, plans, resamples=300)
        hits += r.low <= truth <= r.high
    assert 0.89 <= hits / 200 <= 0.985


def test_a_descriptor_with_few_other_values_still_gets_an_interval():
    rng = np.random.default_rng(0)
    flag = np.zeros(40)
    flag[:5] = 1
    (table,) = related({"flag": flag}, {"y": rng.normal(size=40)}, [Plan("y", "y")])
    assert np.isfinite([table[0].low, table[0].high]).all()
    assert table[0].low < table[0].high


def test_perfect_relation_has_interval_1_to_1_and_p_value_0():
    x = np.arange(30.0)
    ((r,),) = related({"x": x}, {"y": x**3}, [Plan("y", "y")])
    assert r.estimate == pytest.approx(1)
    assert r.p < 1e-20
    assert r.low == pytest.approx(1)
    assert r.high == pytest.approx(1)


def test_descriptors_must_vary():
    flag = np.zeros(40)
    flag[:4] = 1
    names, unused = usable({"a": np.arange(40.0), "b": np.ones(40), "c": flag})
    assert names == ["a"]
    assert set(unused) == {"b", "c"}


def test_collinear_groups_are_pairwise_correlated():
    rng = np.random.default_rng(0)
    a = rng.normal(size=200)
    values = {
        "a": a,
        "minus": -a,
        "other": rng.normal(size=200),
        "near": a + 0.9 * rng.normal(size=200),
        "parameters": np.exp(a),
    }
    groups = collinear(list(values), values)
    assert groups == [("parameters", "a", "minus"), ("other",), ("near",)]
    assert collinear(["a"], values) == [("a",)]


@pytest.mark.parametrize("texts", [97, 128])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_residuals_are_equal_to_the_last_digit_however_sums_are_rounded(scale, texts):
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 4, 150)
    # All levels of a factor are dependent beside the intercept; sizes are in millions.
    held = np.column_stack([levels == k for k in range(4)] + [1e6 * rng.integers(2, 6, 150)])
    values = scale * rng.integers(60, 90, 150) / texts
    of_one_order = residuals(values, held)
    for order in ([4, 3, 2, 1, 0], [2, 0, 4, 1, 3]):
        assert residuals(values, held[:, order] * 3.0).tolist() == of_one_order.tolist()
    fitted = np.column_stack([np.ones(150), held])
    expected = values - fitted @ np.linalg.pinv(fitted, rcond=1e-12) @ values
    assert of_one_order == pytest.approx(expected, abs=2e-9 * np.ptp(values))


def test_shares_of_texts_are_between_no_two_steps():
    # Means of 16 shares of 128 texts: the residuals are multiples of 1/2048.
    values = np.random.default_rng(0).integers(60, 120, 160) / 128
    held = np.repeat(np.eye(10), 16, axis=0)
    expected = residuals(values, held)
    assert residuals(values, 3.0 * held[:, ::-1]).tolist() == expected.tolist()


def test_residuals_of_what_is_held_fixed_are_zero():
    held = np.random.default_rng(0).normal(size=(40, 2))
    assert not residuals(held @ [2.0, -1.0] + 3, held).any()
    assert not residuals(np.full(40, 0.7), held).any()
    assert not residuals(0.7 + 1e-13 * held[::-1, 0], held).any()


@dataclass(frozen=True)
class Test:
    __test__ = False
    p: float
    p_corrected: float = 1.0


def test_holm_correction_agrees_with_hand_calculation():
    # Holm (1979): 0.01 * 4, 0.02 * 3 and 0.03 * 2 (at least the one before), 0.6 * 1.
    records = [Test(0.03), Test(0.01), Test(0.6), Test(0.02)]
    after = [r.p_corrected for r in corrected(records, "holm")]
    assert after == pytest.approx([0.06, 0.04, 0.6, 0.06])
    assert corrected([], "holm") == ()
    assert corrected([Test(0.9), Test(0.8)], "holm")[0].p_corrected == 1


def test_benjamini_hochberg_agrees_with_hand_calculation():
    records = [Test(0.03), Test(0.01), Test(0.6), Test(0.02)]
    after = corrected(records, "fdr")
    assert [r.p_corrected for r in after] == pytest.approx([0.04, 0.04, 0.6, 0.04])
    assert [replace(r, p_corrected=1.0) for r in after] == records
