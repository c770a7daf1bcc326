"""Figures show what the records hold, and leave matplotlib's state alone."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest

from rosearch.errors import MissingResourceError, StatisticsError
from rosearch.evolve import SearchResult
from rosearch.fitness import Fitness
from rosearch.report import plots, statistics
from tests.report import made_up
from tests.report.studies import column, genomes, result, standard, study, trial

BAD = {"accuracy": 0.6, "accuracy_under_attack": 0.1, "compression": 5.0}


@pytest.fixture(scope="module")
def search():
    rng = np.random.default_rng(0)
    width = standard(column("width", 60))
    accuracy = rng.normal(0.8, 0.02, 60)
    robustness = 0.2 + 0.03 * width + rng.normal(0, 0.01, 60)
    return study(robustness, accuracy, extra=[trial(60, genomes()[60], BAD, "failed")])


@pytest.fixture(scope="module")
def report(search):
    return statistics(search, resamples=100, trees=15)


def texts(figure):
    """Everything that is written in a figure."""
    from matplotlib.text import Text

    figure.canvas.draw()
    return {t.get_text() for t in figure.findobj(Text) if t.get_text()}


def test_the_front_shows_every_candidate_and_the_marks(search):
    marks = {"teacher": {"accuracy": 0.9, "accuracy_under_attack": 0.1}}
    figure = plots.front(search, marks=marks)
    points, mark = figure.axes[0].collections
    offsets = {tuple(np.round(p, 9)) for p in points.get_offsets()}
    assert offsets == {
        (round(100 * t.metrics["accuracy"], 9), round(100 * t.metrics["accuracy_under_attack"], 9))
        for t in search.trials
        if t.state == "complete"
    }
    assert list(mark.get_offsets()[0]) == pytest.approx([90, 10])
    rims = np.count_nonzero(points.get_linewidths())
    assert rims == len(search.front)
    words = texts(figure)
    assert {"teacher", "on the front", "Compression (times) ↑"} <= words
    assert {"Clean accuracy (%) ↑", "Accuracy under attack (%) ↑"} <= words
    # Colour tells compression.
    assert sorted(points.get_array()) == pytest.approx(
        sorted(t.metrics["compression"] for t in search.trials if t.metrics)
    )
    plain = plots.front(search, color="speed")
    assert len(plain.axes) == 1


@pytest.mark.usefixtures("terms")
def test_the_front_is_drawn_over_what_the_fitness_asks_for():
    fitness = Fitness.pareto(["gap", "latency", "flops"])
    search = made_up.study(12, fitness)
    figure = plots.front(search, marks={"teacher": {"gap": 0.3, "latency": 0.02}})
    points, mark = figure.axes[0].collections
    whole = sorted((t.score for t in search.trials if t.score), key=lambda s: s.values)
    drawn = sorted(points.get_offsets().tolist(), key=lambda point: (point[1], point[0]))
    assert drawn == [pytest.approx((1e3 * s.terms["latency"], 100 * s.terms["gap"])) for s in whole]
    assert mark.get_offsets()[0].tolist() == pytest.approx([20, 30])
    words = {"Gap (%) ↓", "Latency of one text (ms) ↓", "FLOPs of one text (millions) ↓"}
    assert words <= texts(figure)
    chosen = plots.front(search, x="parameters", y="accuracy_under_attack", color=None).axes
    assert [chosen[0].get_xlabel(), len(chosen)] == ["Parameters (millions)", 1]
    assert plots.history(search).axes[0].get_ylabel() == "Gap (%) ↓"
    line = plots.history(search, metric="latency").axes[0].lines[0].get_ydata()
    assert list(line) == sorted(line, reverse=True)
    with pytest.raises(StatisticsError, match="'teacher' has no 'latency', which"):
        plots.front(search, marks={"teacher": {"gap": 0.3}})


def test_history_shows_the_running_best_of_feasible_candidates(search):
    figure = plots.history(search)
    (line, failed) = figure.axes[0].lines
    values = [t.score.values[0] for t in search.trials if t.score]
    assert list(line.get_ydata()) == pytest.approx(list(np.maximum.accumulate(values)))
    assert list(failed.get_xdata()) == [60]
    by_metric = plots.history(search, metric="accuracy")
    assert by_metric.axes[0].get_ylabel() == "Clean accuracy (%) ↑"
    best = by_metric.axes[0].lines[0].get_ydata()[-1]
    assert best == 100 * max(t.metrics["accuracy"] for t in search.trials if t.metrics)


def test_history_of_few_candidates_has_whole_numbers(search):
    few = dataclasses.replace(search, trials=search.trials[:3])
    figure = plots.history(few)
    figure.canvas.draw()
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert {"0", "1", "2"} <= set(labels)
    assert not any("." in label for label in labels)


def test_history_of_a_minimised_objective_ignores_infeasible_candidates(search):
    small = Fitness.pareto(["parameters"], constraints={"accuracy": (0.8, None)})
    trials = [
        dataclasses.replace(t, score=small.score(t.metrics)) for t in search.trials if t.score
    ]
    line = plots.history(SearchResult("small", tuple(trials), ())).axes[0].lines[0]
    values = np.array([t.metrics["parameters"] for t in trials])
    feasible = np.array([t.metrics["accuracy"] >= 0.8 for t in trials])
    expected = np.minimum.accumulate(np.where(feasible, values, np.inf))
    drawn = np.array(line.get_ydata())
    assert np.array_equal(np.isnan(drawn), np.isinf(expected))
    assert drawn[-1] == expected[-1]


def test_correlations_have_a_panel_for_each_measure_and_findings_are_filled(report):
    figure = plots.correlations(report, max_rows=8)
    assert len(figure.axes) == 3
    axes = figure.axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert len(names) == 8
    assert "width" in names
    place = names.index("width")
    record = next(r for r in report.correlations if r.name == "width")
    interval, point = [line for line in axes.lines if line.get_ydata()[0] == place][:2]
    assert list(interval.get_xdata()) == [record.low, record.high]
    assert list(point.get_xdata()) == [record.estimate]
    assert point.get_markerfacecolor() == plots.BLUE
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert hollow
    assert "robustness at equal accuracy\ngiven parameters, accuracy" in texts(
        plots.correlations(report, partial=True)
    )


def test_importances_mark_forests_that_do_not_predict(report):
    words = texts(plots.importances(report))
    predicts = [forest.predicts for forest in report.forests]
    assert True in predicts
    assert False in predicts
    assert "does not predict" in words
    assert any("R2 0." in word for word in words)


def test_enrichment_draws_infinite_ends_at_the_edge(report):
    one = dataclasses.replace(report.enrichment[0], estimate=np.inf, high=np.inf)
    figure = plots.enrichment(dataclasses.replace(report, enrichment=(one,)))
    axes = figure.axes[0]
    interval = axes.lines[0]
    assert max(interval.get_xdata()) == axes.get_xlim()[1]
    assert any(f"({one.front_with}/{one.front}, " in word for word in texts(figure))


def test_nothing_to_plot_is_refused(report):
    empty = result([trial(0, genomes()[0], BAD, "failed")])
    for draw in (plots.front, plots.history):
        with pytest.raises(StatisticsError, match="nothing to plot"):
            draw(empty)
    bare = dataclasses.replace(report, correlations=(), forests=(), importances=(), enrichment=())
    for draw in (plots.correlations, plots.importances, plots.enrichment):
        with pytest.raises(StatisticsError, match="to draw"):
            draw(bare)


def test_saved_vectors_keep_their_text_and_settings_stay(search, tmp_path):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    figure = plots.front(search)
    plots.save(figure, tmp_path / "front.svg")
    plots.save(figure, tmp_path / "front.pdf")
    assert "<dc:date>" not in (tmp_path / "front.svg").read_text(encoding="utf-8")
    assert b"/CreationDate" not in (tmp_path / "front.pdf").read_bytes()
    assert "Accuracy under attack" in (tmp_path / "front.svg").read_text()
    assert b"/FontFile2" in (tmp_path / "front.pdf").read_bytes()  # TrueType, not Type 3
    assert dict(mpl.rcParams) == before
    with pytest.raises(ValueError, match="xyz"):
        plots.save(figure, tmp_path / "front.xyz")


def test_pyplot_is_not_needed(search, report, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    plots.front(search)
    plots.history(search)
    plots.correlations(report)
    plots.importances(report)
    plots.enrichment(report)


def test_missing_matplotlib_is_reported(search, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingResourceError, match=r"rosearch\[report\]"):
        plots.history(search)
