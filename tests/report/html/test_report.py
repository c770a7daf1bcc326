"""The HTML report: its content, escaping and content security policy."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest

import rosearch as rs
from rosearch.attack.certificates.explanation import Explanation, WordScore
from rosearch.errors import ArgumentError
from rosearch.evolve import SearchResult
from rosearch.report.html.charts import Axis, Mark, Point, Range, point_chart, range_chart
from rosearch.report.html.compare import attacked_examples, estimates, rows
from rosearch.report.html.statistics import tables
from rosearch.report.metrics import MISSING, Estimate, Metric, duration, metric
from tests.report import made_up

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


class Page(HTMLParser):
    """The parsed file: its elements, and the text of each script."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts, self._inside = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        self._inside = tag

    def handle_data(self, data):
        if self._inside == "script" and self.scripts:
            self.scripts[-1] += data

    def handle_endtag(self, tag):
        self._inside = None


def write(tmp_path, search=None, **options):
    path = rs.write_report(search or made_up.study(12), tmp_path / "report.html", **options)
    return path.read_text(encoding="utf-8")


def test_names_and_failures_are_escaped(tmp_path):
    search = made_up.study(12, name=EVIL, failure=EVIL)
    text = write(
        tmp_path, search, title=EVIL, student=EVIL, compared={EVIL: {"accuracy": 0.5, EVIL: 1.0}},
        reports={"best": made_up.report((f"film {EVIL}",)), EVIL: made_up.report(attack=EVIL)},
    )  # fmt: skip
    page = Page(text)
    assert len(page.scripts) == 2  # the data and ours
    assert [tag for tag, _ in page.elements if tag == "img"] == ["img"]  # the graph
    assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on")]
    assert "&lt;script&gt;alert(1)" in text
    assert json.loads(page.scripts[0])["marks"]  # not cut short by the end of a script in a name


def test_security_policy_allows_only_the_style_and_the_script(tmp_path):
    page = Page(text := write(tmp_path))
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:;")
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL).group(1)
    for content in (style, page.scripts[1]):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert not [a for _, a in page.elements if "style" in a]


def test_nothing_is_loaded_from_elsewhere(tmp_path):
    page = Page(write(tmp_path))
    for tag, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)


def test_two_hundred_candidates_fit_in_a_megabyte(tmp_path):
    path = rs.write_report(
        made_up.study(200), tmp_path / "r.html", statistics=made_up.statistics(),
        reports={"best": made_up.report()},
    )  # fmt: skip
    assert 100_000 < path.stat().st_size < 1_000_000
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]


def test_empty_sections_give_the_reason(tmp_path):
    few = write(tmp_path)
    assert "There are no statistics:" in few
    assert "No robustness report was given" in few
    assert "1 failed, 1 running" in few
    assert "OutOfMemoryError: CUDA out of memory" in few
    empty = write(tmp_path, SearchResult("empty", (), ()))
    assert "No candidate has been evaluated with success yet." in empty
    assert "Nobody measured how long" in empty
    assert "carries no settings" in empty


def test_no_feasible_candidate_is_stated(tmp_path):
    fitness = rs.Fitness({"accuracy": 1.0}, constraints={"accuracy": (0.99, None)})
    text = write(tmp_path, made_up.study(12, fitness))
    assert "No candidate meets the constraints; this one breaks them least" in text


def test_stopped_candidates_have_their_own_mark(tmp_path):
    search = made_up.study(12)
    chosen = {t.number for t in (search.best, *search.front)}
    k = next(t.number for t in search.trials if t.score and t.number not in chosen)
    trials = [replace(t, rung=1 if t.score else None) for t in search.trials]
    trials[k] = replace(trials[k], state="stopped", rung=0)
    search = replace(search, trials=tuple(trials))
    text = write(tmp_path, search)
    assert "1 stopped early, after rung 0" in text
    assert text.count('class="point stopped"') == 3  # front, history, seconds


def test_statistics_and_sentences(tmp_path):
    text = write(tmp_path, statistics=made_up.statistics(), reports=made_up.report(), examples=3)
    assert "Finding 7." in text
    assert "2 more findings" in text
    assert "1.50 to ∞" in text
    assert text.count("<del>") >= 3
    assert text.count('class="text"') == 3
    assert "a &lt;b&gt;dull&lt;/b&gt;" in text
    assert "(95 %: 28.7 to 72.0)" not in text
    low, high = made_up.report().accuracy_under_attack_interval
    assert f"(95 %: {100 * low:.1f} to {100 * high:.1f})" in text


def test_assumptions_of_statistics_are_arguments_and_shown(tmp_path):
    search = made_up.study(30)
    text = write(tmp_path, search, majority=0.6, accuracy_examples=1000)
    assert "a share of 0.6" in text
    assert "on 1000 examples" in text
    assert "no better than the majority class" not in text
    assert "There are no statistics:" in write(tmp_path, search, majority=0.9)
    assert "near chance are included" in write(tmp_path, search, majority=None)


def test_findings_are_highlighted():
    told = made_up.statistics()
    doubtful = replace(
        told,
        **{
            name: tuple(replace(record, p_corrected=0.2) for record in getattr(told, name))
            for name in ("correlations", "partial", "importances", "enrichment")
        },
    )

    def strong(found):
        return [row.strong for table in tables(found) for _, row in table.chart.rows]

    # The interval of the partial correlation holds 0.
    assert strong(told) == [True, False, True, True]
    assert strong(doubtful) == [False] * 4


def test_robustness_reports_replace_metrics_of_the_search(tmp_path):
    search = made_up.study(12)
    text = write(
        tmp_path, search, reports={"best": made_up.report(), "elsewhere": made_up.report()},
        compared={"TextCNN": search.trials[2]},
    )  # fmt: skip
    table = text[text.index("Figures of the best student") :]
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", table)[:3]
    assert rows[0].startswith(f"Best found (candidate {search.best.number})")
    assert "separately, n = 15" in rows[0]
    assert "46.7 (24.8 to 69.9)" in rows[0]
    assert "in the search, n = 100" in rows[1]
    assert rows[2].startswith("elsewhere")


def headline(text):
    """Figures at the top of the page by label: the value and what is said of it."""
    top = text[text.index('<dl class="tiles">') : text.index("</dl>")]
    plain = re.sub(r"<span.*?</span>", "", top)
    found = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>(?:<dd.*?>(.*?)</dd>)?</div>", plain)
    return {label: (value.strip(), remark) for label, value, remark in found}


def test_fresh_figures_lead_and_the_others_are_those_of_the_search(tmp_path):
    search = made_up.study(12)
    metrics, report = search.best.metrics, made_up.report()
    text = write(tmp_path, search, reports=report)
    found = headline(text)
    assert list(found)[:2] == ["Accuracy under attack", "Clean accuracy"]
    value, remark = found["Accuracy under attack"]
    assert value == f"{100 * report.accuracy_under_attack:.1f}"
    low, high = (100 * end for end in report.accuracy_under_attack_interval)
    searched = 100 * metrics["accuracy_under_attack"]
    assert remark == f"95 %: {low:.1f} to {high:.1f}; in the search: {searched:.1f}"
    assert found["Compression"] == (f"{metrics['compression']:.2f}", "in the search")
    assert found["Fitness"][1] == "in the search"
    assert "measured separately, n = 15. It was chosen by its figures in the search." in text
    assert "as the search measured it, the best too" in text


def test_without_fresh_figures_all_are_those_of_the_search(tmp_path):
    search = made_up.study(12)
    text = write(tmp_path, search, reports={"teacher": made_up.report()})
    assert "the best of this search, as the search measured it." in text
    found = headline(text)
    under = f"{100 * search.best.metrics['accuracy_under_attack']:.1f}"
    assert found["Accuracy under attack"] == (under, "")
    assert "in the search: Best found" in text


def test_fresh_figures_lead_where_the_search_calls_its_own_otherwise(tmp_path):
    plain = made_up.study(12)
    trials = [
        replace(t, metrics={"hardness": 0.175, **t.metrics} if t.metrics else {})
        for t in plain.trials
    ]
    for trial in trials:
        trial.metrics.pop("accuracy_under_attack", None)
    text = write(tmp_path, replace(plain, trials=tuple(trials)), reports=made_up.report())
    found = headline(text)
    assert next(iter(found)) == "Accuracy under attack"
    assert "in the search" not in found["Accuracy under attack"][1]


def test_a_row_mixes_no_attacks_of_the_search_with_fresh_ones():
    trial = made_up.study(12).trials[0]
    trial = replace(trial, metrics={**trial.metrics, "certified": 0.4})
    (row,) = rows(trial, {}, {"best": made_up.report()}, 100)
    assert "certified" not in row.figures
    assert row.figures["compression"].value == trial.metrics["compression"]
    assert not row.is_searched
    (row,) = rows(trial, {}, {}, 100)
    assert row.figures["certified"].value == 0.4
    assert row.is_searched


@pytest.mark.usefixtures("terms")
def test_the_front_has_the_axes_of_the_fitness(tmp_path):
    fitness = rs.Fitness({"gap": 1.0, "latency": -0.5}, constraints={"accuracy": (0.7, None)})
    text = write(tmp_path, made_up.study(12, fitness))
    assert "Gap (%) of the candidates over Latency of one text (ms)" in text
    assert 'text-anchor="middle">Latency of one text (ms) \N{UPWARDS ARROW}</text>' in text
    assert 'text-anchor="middle">Gap (%) \N{DOWNWARDS ARROW}</text>' in text
    assert "Gap (lower is better), Latency of one text (higher is better), Clean accuracy " in text
    data = json.loads(Page(text).scripts[0])
    assert data["axes"]["gap"] == ["Gap (%) \N{DOWNWARDS ARROW}", "Gap (%)"]
    assert '<option value="gap" selected>' in text
    assert all("gap" in mark["v"] for mark in data["marks"].values())


def test_several_objectives_have_a_history_each(tmp_path):
    text = write(tmp_path, made_up.study(12, made_up.PARETO))
    assert [f'id="history-{k}"' in text for k in (1, 2, 3, 4)] == [True, True, True, False]


def test_without_matplotlib_the_graph_is_shown_as_text(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    text = write(tmp_path)
    assert "<img" not in text
    assert "A picture of the graph needs matplotlib" in text
    assert "<details open>" in text


def test_the_code_that_loads_the_best_student(tmp_path):
    import html

    search = made_up.study(12)
    text = write(tmp_path, search)
    code = html.unescape(re.search(r'id="load-code"[^>]*>(.*?)</pre>', text, re.DOTALL).group(1))

    class Distiller:
        def distill(self, genome, *, seed):
            self.asked = genome.key, seed
            return self

        @property
        def student(self):
            return self

        def save_pretrained(self, folder):
            self.saved = folder

    distiller = Distiller()
    exec(code, {"distiller": distiller})
    assert distiller.asked == (search.best.key, search.best.seed)
    assert distiller.saved == "best"
    assert "from_pretrained(&#39;runs/best&#39;)" in write(tmp_path, search, student="runs/best")


def test_errors_count_as_broken_beside_candidates():
    from rosearch.attack.report.results import AttackResult
    from rosearch.attack.report.summary import summarise

    records = [AttackResult("pwws", k, "a", k % 2, k % 2, "failed", "b", k % 2) for k in range(8)]
    records += [AttackResult("pwws", k, "a", 1, 1, "error", error="no") for k in (8, 9)]
    report = summarise(records, forward_rows=1, seconds=1.0, settings={})
    assert report.accuracy_under_attack == 1.0
    (row,) = rows(None, {}, {"mine": report}, 100)
    under = row.figures["accuracy_under_attack"]
    assert under.value == 0.8
    assert under.low < 0.8 < under.high < 1
    assert row.figures["attack_success_rate"].value == 2 / 10
    assert row.figures["worst_class_under_attack"].value == 4 / 6
    assert row.source == "separately, n = 10, 2 errors counted as broken"


def test_wrong_argument_types_are_refused(tmp_path):
    with pytest.raises(ArgumentError, match="search must be a SearchResult"):
        rs.write_report([], tmp_path / "r.html")
    with pytest.raises(ArgumentError, match="reports\\['best'\\] must be a RobustnessReport"):
        write(tmp_path, reports={"best": {"accuracy": 1.0}})
    with pytest.raises(OSError, match="nowhere"):
        rs.write_report(made_up.study(12), tmp_path / "nowhere" / "r.html")


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 4e6), (0.81, 0.8101), (5, 5), (0, 0)])
def test_ticks_are_round_and_inside(low, high):
    axis = Axis.of("x", [float(low), float(high)], 50, 400)
    places = [at for at, _ in axis.ticks]
    assert 2 <= len(places) <= 10
    assert places == sorted(places)
    assert all(50 <= at <= 400 for at in places)
    for at, text in axis.ticks:
        assert axis.place(float(text.replace(",", ""))) == pytest.approx(at, abs=0.2)


@pytest.mark.parametrize(("last", "shown"), [(1, "0 1"), (2, "0 1 2"), (30, "0 5 10 15 20 25 30")])
def test_ticks_of_candidates_are_whole(last, shown):
    axis = Axis.of("candidate", range(last + 1), 50, 400)
    assert [text for _, text in axis.ticks] == shown.split()


def test_charts_have_room_for_intervals():
    mark = Mark("best", "", {})
    points = [Point(mark, 1, Estimate(2, -5, 9)), Point(mark, None, None)]
    chart = point_chart("t", "x", "y", points)
    assert chart.y.low < -5 < 9 < chart.y.high
    ranges = range_chart("t", "x", [Range("a" * 99, Estimate(0.5), "")], reference=0.0)
    assert ranges.zero is not None
    assert ranges.x.start <= ranges.wide / 2 + 2  # a long name leaves half of the width


def test_metrics_as_text():
    assert metric("accuracy").interval_text(Estimate(0.8766)) == "87.7"
    assert metric("accuracy").interval_text(Estimate(0.8766, 0.8, 0.9)) == "87.7 (80.0 to 90.0)"
    assert metric("accuracy").interval_text(None) == MISSING
    assert metric("parameters").text(4_560_000) == "4.56"
    assert metric("my_own").label == "My own"
    assert Metric("x", "X").text(float("nan")) == MISSING
    assert Metric("x", "X").text(123456.0) == "123,456"
    assert [duration(s) for s in (12.34, 250, 12000)] == ["12.3 s", "4 min 10 s", "3 h 20 min"]


def test_intervals_need_the_number_of_examples():
    assert attacked_examples(made_up.settings(examples=50)) == 50
    assert attacked_examples({"evaluate": {"callable": "f"}}) is None
    found = estimates({"accuracy_under_attack": 0.5, "accuracy": 0.8}, 100)
    assert found["accuracy_under_attack"].low == pytest.approx(0.404, abs=1e-3)
    assert found["accuracy"].low is None
    assert estimates({"accuracy_under_attack": 0.5}, None)["accuracy_under_attack"].low is None


@pytest.mark.usefixtures("encodings")
def test_encodings_are_shown(tmp_path):
    plain = made_up.study(30)
    trials = []
    for trial in plain.trials:
        encoded = replace(trial.genome, encodings=("merged",))
        is_encoded = trial.number % 2 == plain.best.number % 2
        genome = encoded if is_encoded else trial.genome
        trials.append(replace(trial, genome=genome, key=genome.key))
    search = SearchResult.from_trials("study", trials, made_up.FITNESS, settings=plain.settings)
    found = rs.statistics(search, resamples=100, trees=0)
    text = write(tmp_path, search, statistics=found)
    assert "encoded by merged(strength=0.05)" in text
    assert '<td class="wide">merged(strength=0.05) \N{RIGHTWARDS ARROW} ' in text
    assert '<th scope="row">encoding_merged</th>' in text


def test_texts_are_explained_word_by_word(tmp_path):
    words = (
        WordScore(f"good {EVIL}", 2.0, "bad", -1.5),
        WordScore(" dull", -0.9),
        WordScore(" film", 0.0),
    )
    text = write(tmp_path, explanations=[Explanation("positive", "negative", words, 0.1, 0.3)])
    page = Page(text)
    assert EVIL not in text
    shown = [attrs for tag, attrs in page.elements if tag == "span" and "title" in attrs]
    found = [(attrs["class"], attrs["title"]) for attrs in shown][-3:]
    assert found == [("for-5", "+2.00; -1.50 as bad"), ("against-2", "-0.90"), ("for-0", "+0.00")]
    assert "positive rather than negative: margin +1.20, at worst -2.30" in text
    assert "moves it by at most 0.3" in text
    assert not any("style" in attrs for _, attrs in page.elements)
    (style,) = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    assert ".rosearch-explanation .against-2" in style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in text
    assert "rosearch-explanation" not in write(tmp_path)
    with pytest.raises(ArgumentError, match="each of explanations must be an Explanation"):
        write(tmp_path, explanations=["good"])
