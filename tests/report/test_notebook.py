"""What notebooks show of results."""

from __future__ import annotations

import base64
import dataclasses
import re
import sys
import xml.etree.ElementTree as ET

import pytest

from rosearch.evolve import Failure
from tests.report import made_up


def parsed(page):
    """The page as a tree, which fails where a tag is not closed."""
    closed = re.sub(r"(<img [^>]*)>", r"\1/>", page)
    return ET.fromstring(f"<div>{closed}</div>")


def cells(page):
    rows = parsed(page).iter("tr")
    return [["".join(cell.itertext()) for cell in row] for row in rows]


def test_a_search_is_a_leaderboard_with_the_front_as_a_picture():
    search = made_up.study(30)
    page = search._repr_html_()
    head, *rows = cells(page)
    assert head[:2] == ["Rank", "Candidate"]
    assert head[2].startswith("Fitness")
    assert head[3].startswith("Accuracy under attack (%)")
    assert [row[:2] for row in rows] == [
        [str(i), str(n)] for i, n in enumerate(search.leaderboard()["number"][:10], 1)
    ]
    best = search.best
    assert rows[0][3] == f"{100 * best.metrics['accuracy_under_attack']:.1f}"
    (image,) = parsed(page).iter("img")
    data = image.attrib["src"].removeprefix("data:image/png;base64,")
    assert base64.b64decode(data).startswith(b"\x89PNG")
    assert "18 more below" in page


def test_a_search_without_candidates_is_a_page_too():
    page = made_up.study(0)._repr_html_()
    assert "0 complete" in page
    assert len(cells(page)) == 1


def test_a_candidate_is_its_facts_and_its_architecture():
    trial = made_up.study(5).best
    page = trial._repr_html_()
    facts = dict(cells(page)[1:])
    assert facts["Seed"] == str(trial.seed)
    assert facts["Clean accuracy (%)"] == f"{100 * trial.metrics['accuracy']:.1f}"
    assert f"Candidate {trial.number}, complete" in page
    assert len(list(parsed(page).iter("img"))) == 1


def test_what_failed_says_why_and_nothing_is_taken_for_markup(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    failure = Failure("ValueError", "<b>no & luck</b>", "")
    trial = dataclasses.replace(
        made_up.study(5).trials[0], score=None, state="failed", failure=failure
    )
    page = trial._repr_html_()
    assert dict(cells(page)[1:])["Failure"] == "ValueError: <b>no & luck</b>"
    assert "<img" not in page
    (text,) = parsed(page).iter("pre")
    assert text.text == str(trial.genome)


def test_statistics_are_their_findings():
    found = dataclasses.replace(made_up.statistics(), findings=("a < b", "c"), notes=("d",))
    page = found._repr_html_()
    assert [item.text for item in parsed(page).iter("li")] == ["a < b", "c", "d"]
    assert len(page) < 500


def test_pages_are_plain_text_which_does_not_escape_what_it_is_joined_with():
    shown = [made_up.study(3), made_up.study(3).best, made_up.SPACE, made_up.statistics()]
    assert {type(each._repr_html_()) for each in shown} == {str}


@pytest.mark.parametrize("name", ["plot_front", "plot_history"])
def test_plots_return_axes(name):
    axes = getattr(made_up.study(20), name)()
    assert axes.figure.axes[0] is axes
    assert axes.get_xlabel()


def test_plots_pass_their_settings_on():
    search = made_up.study(20)
    assert search.plot_front(x="latency").get_xlabel() == "Latency of one text (ms)"
    assert search.plot_history(metric="accuracy").get_ylabel().startswith("Clean accuracy")


def test_statistics_are_drawn_an_axes_a_measure():
    search = made_up.study(30)
    axes = search.plot_statistics(resamples=100, trees=0, majority=None)
    assert [a.get_title().split("\n")[0] for a in axes] == [
        "accuracy under attack", "accuracy", "robustness at equal accuracy",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="what must be one of"):
        search.plot_statistics("forests")
