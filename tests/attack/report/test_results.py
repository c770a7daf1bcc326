"""Rates, intervals and bounds."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sys
from dataclasses import FrozenInstanceError
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosearch.attack.report.results import (
    AttackResult,
    RobustnessReport,
    combine,
    summarise,
    wilson,
)
from rosearch.errors import DataError, MissingResourceError


def record(status: str, *, label: int = 0, **kw: object) -> AttackResult:
    defaults = {
        "skipped": {"predicted": 1, "queries": 1},
        "succeeded": {"predicted": 0, "queries": 10, "words": 4, "changed": (1,), "perturbed": "x"},
        "failed": {"predicted": 0, "queries": 20, "words": 4, "changed": (1, 2), "perturbed": "y"},
        # What goals other than the default leave behind.
        "met but right": {"predicted": 0, "queries": 10, "words": 4, "perturbed": "x"},
        "missed but wrong": {"predicted": 0, "queries": 10, "words": 4, "perturbed": "x"},
        "error": {"predicted": 0, "queries": 3, "error": "ValueError: no"},
        "unseen": {"predicted": None, "queries": 1, "error": "ValueError: no"},
    }[status]
    after = {"succeeded": 1, "missed but wrong": 2, "failed": 0, "met but right": 0}.get(status)
    defaults = {**defaults, "perturbed_predicted": after}
    names = {"unseen": "error", "met but right": "succeeded", "missed but wrong": "failed"}
    status = names.get(status, status)
    fields = {"attack": "test", "index": 0, "text": "a b c d", "label": label}
    return AttackResult(**{**fields, "status": status, **defaults, **kw})


def report(*statuses: str):
    results = [record(status) for status in statuses]
    return summarise(results, forward_rows=5, seconds=1.0, settings={"seed": 0})


def test_by_hand() -> None:
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


def test_rates_by_class() -> None:
    results = [record("failed"), record("succeeded"), record("error"), record("skipped")]
    # Always answers class 0, so that nothing of class 1 is right and nothing of class 0 falls.
    results += [record("skipped", label=1, predicted=0)] * 2 + [record("failed", label=0)]
    found = summarise(results, forward_rows=5, seconds=1.0, settings={}).by_class
    assert found == {0: (5, 4 / 5, 2 / 5), 1: (2, 0.0, 0.0)}
    assert found[0].accuracy_under_attack == 2 / 5
    assert list(found) == [0, 1]
    assert report().by_class == {}


def test_a_class_without_examples_is_the_worst() -> None:
    one = [record("failed"), record("failed")]
    found = summarise(one, forward_rows=1, seconds=1.0, settings={})
    assert found.worst_class() == found.worst_class(1) == 1.0
    assert found.worst_class(2) == 0.0  # one answer could have been enough
    other = record("succeeded", label=1, predicted=1, perturbed_predicted=0)
    both = summarise([*one, other], forward_rows=1, seconds=1.0, settings={})
    assert both.worst_class(2) == 0.0
    other = record("failed", label=1, predicted=1, perturbed_predicted=1)
    both = summarise([*one, other], forward_rows=1, seconds=1.0, settings={})
    assert both.worst_class(2) == 1.0
    assert report().worst_class() == 0.0


@given(st.lists(st.tuples(st.sampled_from(["skipped", "succeeded", "failed", "error", "unseen"]),
                          st.integers(0, 3)), min_size=1))  # fmt: skip
def test_classes_add_up_to_the_rates(outcomes: list[tuple[str, int]]) -> None:
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


@given(st.lists(st.sampled_from(KINDS), min_size=1))
def test_invariants(statuses: list[str]) -> None:
    r = report(*statuses)
    assert r.accuracy_under_attack == pytest.approx(r.accuracy - r.succeeded / r.n)
    for name in ("accuracy", "accuracy_under_attack", "attack_success_rate"):
        rate, interval, bounds = (getattr(r, name + end) for end in ("", "_interval", "_bounds"))
        assert 0 <= interval.low <= rate <= interval.high <= 1
        assert 0 <= bounds.low <= rate <= bounds.high <= 1
        if not r.errors:
            assert bounds.low == bounds.high == rate
    # Pipeline takes the lower bound to count every example in error as broken.
    as_broken = report(*("succeeded" if s in ("error", "unseen") else s for s in statuses))
    assert r.accuracy_under_attack_bounds.low == pytest.approx(as_broken.accuracy_under_attack)
    numbers = [v for v in json.loads(r.to_json()).values() if isinstance(v, float)]
    assert not any(map(math.isnan, numbers))


@pytest.mark.parametrize("statuses", [["skipped"], ["failed"], ["error", "skipped"], ["unseen"]])
def test_nothing_attacked_or_nothing_broken_is_no_nan(statuses: list[str]) -> None:
    r = report(*statuses)
    assert r.attack_success_rate == 0
    assert r.mean_changed == 0


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # R: prop.test(x, n, correct = FALSE)$conf.int
    [(5, 10, 0.236593, 0.763407), (0, 10, 0.0, 0.277533), (10, 10, 0.722467, 1.0)],
)
def test_wilson(successes: int, trials: int, low: float, high: float) -> None:
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
def test_one_record_for_several_attacks(statuses: list[str], status: str) -> None:
    records = [record(s) for s in statuses]
    merged = combine(records)
    assert merged.status == status
    assert merged.queries == sum(r.queries for r in records)


def test_of_attacks_that_broke_an_example_one_that_met_the_goal_stands_for_all() -> None:
    missed = record("missed but wrong", attack="first", perturbed_predicted=1)
    met = record("succeeded", attack="second", perturbed_predicted=2)
    for records in ([missed, met], [met, missed]):
        assert combine(records).attack == "second"
    assert combine([record("error"), missed]).attack == "first"


def test_how_often_the_goal_was_met() -> None:
    found = report(
        "succeeded", "missed but wrong", "missed but wrong", "failed", "skipped", "error"
    )
    assert found.goal_success_rate == 1 / 4
    assert found.attack_success_rate == 3 / 4
    assert report("skipped").goal_success_rate == 0.0
    plain = report("succeeded", "failed", "failed")
    assert plain.goal_success_rate == plain.attack_success_rate


def test_broken_by_one_of_several_attacks_is_broken() -> None:
    kinds = ["failed", "met but right", "error", "missed but wrong"]
    merged = combine([record(kind) for kind in kinds])
    assert merged.broken
    assert merged.perturbed_predicted == 2


def test_reports_are_frozen_and_become_json() -> None:
    r = report("succeeded", "failed")
    with pytest.raises(FrozenInstanceError):
        r.n = 3
    data = json.loads(r.to_json())
    assert data["examples"][0]["perturbed"] == "x"
    assert data["settings"] == {"seed": 0}
    assert "accuracy 100.0%, under attack 50.0%" in str(r)


def several():
    pair = {"text": ("a premise", "a dull film"), "perturbed": ("a premise", "a drab movie")}
    one = [record("succeeded", attack="one", changed=(1, 2), **pair), record("failed")]
    two = [record("skipped", attack="two"), record("unseen", attack="two", index=1)]
    reports = {
        name: summarise(results, forward_rows=7, seconds=0.5, settings={"attacks": [{"x": [1]}]})
        for name, results in (("one", one), ("two", two))
    }
    return summarise(
        [combine(pair) for pair in zip(one, two, strict=True)],
        forward_rows=14,
        seconds=1.0,
        settings={"seed": 0, "examples": [0, 1]},
        attacks=reports,
    )


def record_with(text, perturbed, **kw):
    return record("succeeded", text=text, perturbed=perturbed, **kw)


@pytest.mark.parametrize("make", [several, lambda: report("succeeded", "error"), report])
def test_json_round_trip(make) -> None:
    before = make()
    after = RobustnessReport.from_json(before.to_json())
    assert after == before
    assert after.to_json() == before.to_json()
    assert after.accuracy_interval.low == before.accuracy_interval.low
    assert [r.changes for r in after.examples] == [r.changes for r in before.examples]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"n": 1}', '{"examples": [], "attacks": {}, "odd": 1}', "nonsense"]
)
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="to_json"):
        RobustnessReport.from_json(text)


def test_a_record_says_what_changed() -> None:
    result = several().attacks["one"].examples[0]
    assert result.changes == ((1, "dull", "drab"), (2, "film", "movie"))
    assert result.changes[0].before == "dull"
    assert result.diff(color=False) == "a [-dull-]{+drab+} [-film-]{+movie+}"
    first = record_with(("so dull", "x"), ("so drab", "x"))
    assert first.changes == ((1, "dull", "drab"),)
    assert record("skipped").changes == ()
    assert record("skipped").diff(color=False) == "a b c d"


def test_pandas_has_a_row_an_example_and_attack() -> None:
    pytest.importorskip("pandas")
    table = several().to_pandas()
    assert list(table["attack"]) == ["one", "test", "two", "two"]
    assert list(table["queries"]) == [10, 20, 1, 1]
    assert list(table["broken"]) == [True, False, False, False]
    assert table["text"][0] == ("a premise", "a dull film")
    assert table["changes"][0][0] == (1, "dull", "drab")
    assert str(table["predicted"].dtype) == "Int64"
    assert list(table["predicted"].isna()) == [False, False, False, True]
    assert len(report("failed", "error", "skipped").to_pandas()) == 3
    assert list(report().to_pandas().columns) == list(table.columns)


def test_without_pandas_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingResourceError, match=r"pip install .*pandas"):
        report("failed").to_pandas()


HOSTILE = "<script>alert('x')</script> & \"film\" \x1b[31m \u202e \ud800 é"


def test_html_is_inert_and_marks_changes() -> None:
    results = [
        record_with(f"dull {HOSTILE}", f"drab {HOSTILE}", attack="<b>"),
        record("failed", text="<img src=x onerror=alert(1)>", perturbed="<img src=y>"),
        record("skipped"),
    ]
    given = summarise(results, forward_rows=1, seconds=1.0, settings={})
    page = given.to_html()
    assert page.isascii()
    tags = set(re.findall(r"</?([a-zA-Z!]+)", page))
    allowed = "div style table caption thead tbody tr th td span del ins details summary pre"
    assert tags <= set(allowed.split())
    assert "<del>dull</del><ins>drab</ins>" in page
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page
    # Balanced, and read as XML by a parser other than ours.
    root = ET.fromstring(page)
    assert [cell.text for cell in root.iter("caption")] == [
        "Robustness (rates with 95 % intervals)",
        "Attacked examples",
    ]
    assert "".join(root.find(".//span").itertext()).startswith("dulldrab <script>")
    assert given._repr_html_() == page


def hostile(data: dict[str, Any], where: str) -> str:
    if where == "record":
        data["examples"][0]["queries"] = "<script>alert(1)</script>"
    elif where == "class":
        data["examples"][0]["predicted"] = "<img src=x>"
    elif where == "status":
        data["examples"][0]["status"] = "<img src=x>"
    elif where == "text":
        data["examples"][0]["text"] = {"a": 1}
    elif where == "interval":
        data["accuracy_interval"] = ["<b>", 1]
    elif where == "rate":
        data["accuracy"] = "<b>"
    else:
        data[where] = "<script>alert(1)</script>"
    return json.dumps(data)


@pytest.mark.parametrize(
    "where", "record class status text interval rate queries n errors examples settings".split()
)
def test_json_with_values_of_other_kinds_is_refused(where: str) -> None:
    data = json.loads(report("succeeded").to_json())
    with pytest.raises(DataError, match=r"expected|object"):
        RobustnessReport.from_json(hostile(data, where))


def test_html_escapes_every_cell() -> None:
    """Whatever a record was made with."""
    marks: Any = "<script>alert(1)</script>"
    result = record("failed", perturbed="x", predicted=marks, attack=marks, index=marks)
    given = report("failed")
    changes = dict.fromkeys("queries forward_rows n errors".split(), marks)
    page = dataclasses.replace(given, examples=(result,), **changes).to_html()
    assert "<script" not in page
    assert page.count("&lt;script") == 8


def test_html_shows_as_many_examples_as_asked_for() -> None:
    given = report(*["failed"] * 5)
    rows = [given.to_html(examples=n).count('class="text"') for n in (None, 0, 2, 9)]
    assert rows == [5, 0, 2, 5]
    assert "the first 2 of 5" in given.to_html(examples=2)
    page = several().to_html()
    assert all(f"<td>{name}</td>" in page for name in ("all attacks", "one", "two"))
