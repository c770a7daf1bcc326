"""Rates, intervals, bounds, and merged records."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosearch.attack.report.summary import merge_results, wilson
from tests.attack.report.records import record, report


def test_rates_of_a_small_example() -> None:
    r = report("skipped", "succeeded", "succeeded", "failed", "error", "unseen", "failed", "failed")
    assert (r.n, r.correct, r.attacked, r.succeeded, r.errors) == (8, 6, 5, 2, 2)
    assert r.accuracy == 6 / 8
    assert r.accuracy_under_attack == 4 / 8
    assert r.attack_success_rate == 2 / 5
    assert r.accuracy_bounds == (6 / 8, 7 / 8)
    assert r.accuracy_under_attack_bounds == (3 / 8, 5 / 8)
    assert r.attack_success_rate_bounds == (2 / 7, 4 / 7)
    assert r.mean_queries == (10 + 10 + 20 * 3) / 5
    assert r.mean_changed == 1 / 4
    assert r.queries == 1 + 20 + 60 + 3 + 1


KINDS = ["skipped", "succeeded", "failed", "error", "unseen", "met but right", "missed but wrong"]


@given(st.lists(st.sampled_from(KINDS), min_size=1))
def test_rates_lie_within_intervals_and_bounds(statuses: list[str]) -> None:
    r = report(*statuses)
    assert r.accuracy_under_attack == pytest.approx(r.accuracy - r.succeeded / r.n)
    for name in ("accuracy", "accuracy_under_attack", "attack_success_rate"):
        rate, interval, bounds = (getattr(r, name + end) for end in ("", "_interval", "_bounds"))
        assert 0 <= interval.low <= rate <= interval.high <= 1
        assert 0 <= bounds.low <= rate <= bounds.high <= 1
        if not r.errors:
            assert bounds.low == bounds.high == rate
    # Pipeline uses the lower bound as the rate that counts every error as broken.
    as_broken = report(*("succeeded" if s in ("error", "unseen") else s for s in statuses))
    assert r.accuracy_under_attack_bounds.low == pytest.approx(as_broken.accuracy_under_attack)
    numbers = [v for v in json.loads(r.to_json()).values() if isinstance(v, float)]
    assert not any(map(math.isnan, numbers))


@pytest.mark.parametrize("statuses", [["skipped"], ["failed"], ["error", "skipped"], ["unseen"]])
def test_rates_are_zero_if_nothing_was_attacked(statuses: list[str]) -> None:
    r = report(*statuses)
    assert r.attack_success_rate == 0
    assert r.mean_changed == 0


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # R: prop.test(x, n, correct = FALSE)$conf.int
    [(5, 10, 0.236593, 0.763407), (0, 10, 0.0, 0.277533), (10, 10, 0.722467, 1.0)],
)
def test_wilson_interval_equals_that_of_r(
    successes: int, trials: int, low: float, high: float
) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=1e-6)
    assert wilson(0, 0) == (0, 1)


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        (["failed", "succeeded"], "succeeded"),
        (["error", "succeeded"], "succeeded"),
        (["failed", "error"], "error"),
        (["failed", "failed"], "failed"),
        (["skipped", "skipped"], "skipped"),
        (["met but right", "error"], "error"),
        (["failed", "met but right"], "succeeded"),
    ],
)
def test_merged_record_of_several_attacks(statuses: list[str], status: str) -> None:
    records = [record(s) for s in statuses]
    merged = merge_results(records)
    assert merged.status == status
    assert merged.queries == sum(r.queries for r in records)


def test_merged_record_prefers_an_attack_that_met_its_goal() -> None:
    missed = record("missed but wrong", attack="first", perturbed_predicted=1)
    met = record("succeeded", attack="second", perturbed_predicted=2)
    for records in ([missed, met], [met, missed]):
        assert merge_results(records).attack == "second"
    assert merge_results([record("error"), missed]).attack == "first"


def test_broken_by_one_of_several_attacks_is_broken() -> None:
    kinds = ["failed", "met but right", "error", "missed but wrong"]
    merged = merge_results([record(kind) for kind in kinds])
    assert merged.broken
    assert merged.perturbed_predicted == 2
