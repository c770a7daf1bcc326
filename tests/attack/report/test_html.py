"""The HTML page of a report."""

from __future__ import annotations

import dataclasses
import re
from typing import Any
from xml.etree import ElementTree as ET

from rosearch.attack import DeepWordBug, RobustnessEvaluator
from rosearch.attack.report.summary import summarise
from rosearch.data import TextDataset
from tests.attack.report.records import record, record_with, report, several

HOSTILE = "<script>alert('x')</script> & \"film\" \x1b[31m \u202e \ud800 é"


def test_markup_in_texts_is_escaped_and_changes_are_marked() -> None:
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
    # An XML parser accepts it, so its tags are balanced.
    root = ET.fromstring(page)
    assert [cell.text for cell in root.iter("caption")] == [
        "Robustness (rates with 95 % intervals)",
        "Attacked examples",
    ]
    assert "".join(root.find(".//span").itertext()).startswith("dulldrab <script>")
    assert given._repr_html_() == page


def test_every_cell_is_escaped() -> None:
    marks: Any = "<script>alert(1)</script>"
    result = record("failed", perturbed="x", predicted=marks, attack=marks, index=marks)
    given = report("failed")
    changes = dict.fromkeys("queries forward_rows n errors".split(), marks)
    page = dataclasses.replace(given, examples=(result,), **changes).to_html()
    assert "<script" not in page
    assert page.count("&lt;script") == 8


def test_number_of_examples_is_limited() -> None:
    given = report(*["failed"] * 5)
    rows = [given.to_html(examples=n).count('class="text"') for n in (None, 0, 2, 9)]
    assert rows == [5, 0, 2, 5]
    assert "the first 2 of 5" in given.to_html(examples=2)
    page = several().to_html()
    assert all(f'<th scope="row">{name}</th>' in page for name in ("all attacks", "one", "two"))


def test_errors_bounds_and_thresholds_are_shown() -> None:
    def fragile(texts: list[str]) -> list[list[float]]:
        if any("<b>" in text for text in texts):
            raise ValueError("no <markup>")
        return [[0.9, 0.1] if "good" in text else [0.2, 0.8] for text in texts]

    data = TextDataset(["good film", "a <b> film"], [0, 1], classes=["good", "bad"])
    report = RobustnessEvaluator(
        DeepWordBug(max_edit_distance=7), data, examples=None, progress=False
    ).evaluate(fragile)
    page = report.to_html()
    assert report.errors == 1
    low, high = report.accuracy_under_attack_bounds
    assert f"between {low:.1%} and {high:.1%}" in page
    assert "no &lt;markup&gt;" in page
    assert "no <markup>" not in page
    assert "<b>" not in page
    assert "&#34;limit&#34;: 7" in page or '"limit": 7' in page


def test_classes_have_their_names_and_rates() -> None:
    results = [record("failed"), record("succeeded", label=1, predicted=1, perturbed_predicted=0)]
    given = summarise(
        results, forward_rows=1, seconds=1.0, settings={"classes": ["calm", "<angry>"]}
    )
    root = ET.fromstring(given.to_html())
    _, classes, attacked = root.iter("table")
    assert classes.find("caption").text.startswith("Rates of each class")
    rows = [[cell.text for cell in row] for row in classes.find("tbody")]
    assert rows == [
        ["test", "calm", "100.0%", "100.0%", "1"],
        ["test", "<angry>", "100.0%", "0.0%", "1"],
    ]
    assert [row[3].text for row in attacked.find("tbody")] == ["calm to calm", "<angry> to calm"]
