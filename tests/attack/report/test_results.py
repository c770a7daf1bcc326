"""Records and reports."""

from __future__ import annotations

import json
import sys
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosearch.attack import RobustnessEvaluator, RobustnessReport
from rosearch.attack.report.summary import join_attacks, summarise
from rosearch.data import TextDataset
from rosearch.errors import DataError, MissingResourceError
from tests.attack.report.records import record, record_with, report, several


def test_rates_by_class() -> None:
    results = [record("failed"), record("succeeded"), record("error"), record("skipped")]
    # Predictions of a constant classifier for class 0.
    results += [record("skipped", label=1, predicted=0)] * 2 + [record("failed", label=0)]
    found = summarise(results, forward_rows=5, seconds=1.0, settings={}).by_class
    assert found == {0: (5, 4 / 5, 2 / 5), 1: (2, 0.0, 0.0)}
    assert found[0].accuracy_under_attack == 2 / 5
    assert list(found) == [0, 1]
    assert report().by_class == {}


def test_class_without_examples_is_the_worst() -> None:
    one = [record("failed"), record("failed")]
    found = summarise(one, forward_rows=1, seconds=1.0, settings={})
    assert found.worst_class() == found.worst_class(1) == 1.0
    assert found.worst_class(2) == 0.0  # a constant classifier could reach the same rates
    other = record("succeeded", label=1, predicted=1, perturbed_predicted=0)
    both = summarise([*one, other], forward_rows=1, seconds=1.0, settings={})
    assert both.worst_class(2) == 0.0
    other = record("failed", label=1, predicted=1, perturbed_predicted=1)
    both = summarise([*one, other], forward_rows=1, seconds=1.0, settings={})
    assert both.worst_class(2) == 1.0
    assert report().worst_class() == 0.0


@given(st.lists(st.tuples(st.sampled_from(["skipped", "succeeded", "failed", "error", "unseen"]),
                          st.integers(0, 3)), min_size=1))  # fmt: skip
def test_rates_by_class_add_up_to_the_rates(outcomes: list[tuple[str, int]]) -> None:
    results = [
        record(status, label=label, predicted=label + 1 if status == "skipped" else label)
        if status != "unseen"
        else record(status, label=label)
        for status, label in outcomes
    ]
    whole = summarise(results, forward_rows=5, seconds=1.0, settings={})
    classes = whole.by_class.values()
    assert sum(c.n for c in classes) == whole.n
    right = sum(c.n * c.accuracy for c in classes)
    assert right == pytest.approx(whole.correct)
    stand = sum(c.n * c.accuracy_under_attack for c in classes) / whole.n
    assert stand == pytest.approx(whole.accuracy_under_attack_bounds.low)


def test_goal_success_rate() -> None:
    found = report(
        "succeeded", "missed but wrong", "missed but wrong", "failed", "skipped", "error"
    )
    assert found.goal_success_rate == 1 / 4
    assert found.attack_success_rate == 3 / 4
    assert report("skipped").goal_success_rate == 0.0
    plain = report("succeeded", "failed", "failed")
    assert plain.goal_success_rate == plain.attack_success_rate


def test_reports_are_frozen_and_converted_to_json() -> None:
    r = report("succeeded", "failed")
    with pytest.raises(FrozenInstanceError):
        r.n = 3
    data = json.loads(r.to_json())
    assert data["examples"][0]["perturbed"] == "x"
    assert data["settings"] == {"seed": 0}
    assert "accuracy 100.0%, under attack 50.0%" in str(r)


@pytest.mark.parametrize("make", [several, lambda: report("succeeded", "error"), report])
def test_json_round_trip(make) -> None:
    before = make()
    after = RobustnessReport.from_json(before.to_json())
    assert after == before
    assert after.to_json() == before.to_json()
    assert after.accuracy_interval.low == before.accuracy_interval.low


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"n": 1}', '{"examples": [], "attacks": {}, "odd": 1}', "nonsense"]
)
def test_other_json_is_rejected(text: str) -> None:
    with pytest.raises(DataError, match="to_json"):
        RobustnessReport.from_json(text)


def test_marked_changes_of_a_record() -> None:
    result = several().attacks["one"].examples[0]
    assert result.diff(color=False) == "a [-dull-]{+drab+} [-film-]{+movie+}"
    first = record_with(("so dull", "x"), ("so drab", "x"))
    assert first.diff(color=False) == "so [-dull-]{+drab+}"
    assert record("skipped").diff(color=False) == "a b c d"


def test_table_has_one_row_per_example_and_attack() -> None:
    pytest.importorskip("pandas")
    table = several().to_pandas()
    assert list(table["attack"]) == ["one", "test", "two", "two"]
    assert list(table["queries"]) == [10, 20, 1, 1]
    assert list(table["broken"]) == [True, False, False, False]
    assert table["text"][0] == ("a premise", "a dull film")
    assert str(table["predicted"].dtype) == "Int64"
    assert list(table["predicted"].isna()) == [False, False, False, True]
    assert len(report("failed", "error", "skipped").to_pandas()) == 3
    assert list(report().to_pandas().columns) == list(table.columns)


def test_missing_pandas_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingResourceError, match=r"pip install .*pandas"):
        report("failed").to_pandas()


def test_errors_are_shown_as_bounds() -> None:
    def fragile(asked: list[str]) -> list[list[float]]:
        if any("x" in text for text in asked):
            raise ValueError("no x")
        return [[0.9, 0.1] if "good" in text else [0.2, 0.8] for text in asked]

    data = TextDataset(["good x", "good film"], [0, 0], classes=["good", "bad"])
    settings: dict[str, Any] = {"examples": None, "progress": False, "seed": 3}
    report = RobustnessEvaluator("deepwordbug", data, **settings).evaluate(fragile)
    assert report.errors >= 1
    low, high = report.accuracy_under_attack_bounds
    assert f"{report.errors} errors, so under attack between {low:.1%} and {high:.1%}" in str(
        report
    )


@pytest.mark.parametrize(
    ("field", "value"), [("n", None), ("accuracy", "high"), ("queries", "<b>"), ("seconds", [1])]
)
def test_json_with_a_field_of_another_type_is_refused(field: str, value: Any) -> None:
    data = json.loads(report("succeeded").to_json())
    with pytest.raises(DataError, match=f"{field} must be"):
        RobustnessReport.from_json(json.dumps({**data, field: value}))


@pytest.mark.parametrize(
    ("field", "value"), [("queries", "<b>"), ("predicted", "<b>"), ("status", "banana")]
)
def test_json_with_a_result_of_another_type_is_refused(field: str, value: Any) -> None:
    data = json.loads(report("succeeded").to_json())
    data["examples"][0][field] = value
    with pytest.raises(DataError, match=f"{field} must be"):
        RobustnessReport.from_json(json.dumps(data))


def named(*labels: int, **settings: Any) -> RobustnessReport:
    """A report on an example of each label; attacks break those of odd ones."""
    results = [
        record("failed", label=k, predicted=k, perturbed_predicted=0 if k % 2 else k)
        for k in labels
    ]
    return summarise(results, forward_rows=1, seconds=1.0, settings=settings)


def test_printed_rates_have_the_names_of_attacks_and_classes() -> None:
    one, two = named(0, 1, classes=["calm", "angry"]), named(0, 0, classes=["calm", "angry"])
    whole = join_attacks({"first": one, "second": two}, {"classes": ["calm", "angry"]})
    lines = str(whole).splitlines()
    assert [line.partition(": accuracy ")[0] for line in lines] == [
        "first", "second", "all together", "  class angry", "  class calm",
    ]  # fmt: skip
    assert lines[3] == "  class angry: accuracy 100.0%, under attack 0.0%, n = 1"
    assert lines[0].startswith("first: accuracy 100.0%, under attack 50.0% ")
    assert str(join_attacks({"first": two}, {})).startswith("first: accuracy ")
    assert "class" not in str(two)


def test_classes_without_names_are_numbered_and_the_weakest_printed() -> None:
    assert "  class 1: accuracy" in str(named(0, 1))
    many = str(named(*range(12))).splitlines()
    assert len(many) == 1 + 10 + 1
    assert many[1:7] == [
        f"  class {k}: accuracy 100.0%, under attack 0.0%, n = 1" for k in range(1, 12, 2)
    ]
    assert many[-1] == "  and 2 classes, less often broken"


def test_errors_are_said_to_count_as_broken_in_classes() -> None:
    results = [record("failed"), record("error", label=1, predicted=1)]
    found = summarise(results, forward_rows=1, seconds=1.0, settings={})
    assert "class 1: accuracy 100.0%, under attack 0.0% (errors count as broken)" in str(found)
