"""Plots of a study for papers: each function returns a matplotlib ``Figure``.

Figures are made without pyplot, so no global state changes and no window opens. Colours are those
of Okabe and Ito (2008) and the colour map cividis, which remain distinct with colour vision
deficiencies; shape or position always carries the same information.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rosearch.errors import StatisticsError
from rosearch.evolve import SearchResult
from rosearch.evolve.study.trials import TrialRecord
from rosearch.optional import try_import
from rosearch.report.metrics import Metric, metric
from rosearch.report.quantities import Quantities
from rosearch.report.stats.records import Effect, Statistics, by_measure, by_p_value, words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, BLACK, GREY = "#0072B2", "#D55E00", "#009E73", "#000000", "#8C8C8C"

_MARKERS = "DsP^vX*<>"
_FONT = 8
_ROW = 0.22
"""Height in inches of a row in plots that list names."""


def front(
    search: SearchResult,
    *,
    marks: Mapping[str, Mapping[str, float]] | None = None,
    x: str | None = None,
    y: str | None = None,
    color: str | None = "auto",
) -> Figure:
    """What the fitness asks for, one point a candidate; arrows show which way is better.

    Points of ``search.front`` have a black edge and are drawn on top.

    Args:
        search: The study.
        marks: Other classifiers, as values by label: ``{"teacher": {"accuracy": 0.9,
            "accuracy_under_attack": 0.1}}``. Names are those of metrics, or of terms that combine
            several metrics.
        x: Metric, or term of the study's fitness, on the horizontal axis. Default: the second
            objective; of a weighted sum the term with the second largest weight; if there is none,
            a constraint.
        y: The same on the vertical axis. Default: the first objective or term.
        color: The same of the colour and size of a point; ``None`` draws all points alike. Default:
            what the fitness asks for third, or compression. Ignored unless every candidate has it.

    Raises:
        StatisticsError: No candidate has both, or a mark lacks one of them.
        MissingResourceError: matplotlib is not installed.
    """
    quantities = Quantities(search)
    across, up = _axes(search, quantities, x, y)
    trials = _measured(search, (across.name, up.name))
    chosen = {trial.number for trial in search.front}
    trials.sort(key=lambda trial: trial.number in chosen)  # draws the front on top
    figure, (axes,) = _figure(4.8, 3.6)
    values = [quantities.of(trial) for trial in trials]
    shade = _shade(quantities, color, (across, up))
    shades = _column(shade, values)
    told = bool(np.isfinite(shades).all())
    points = axes.scatter(
        _column(across, values),
        _column(up, values),
        c=shades if told else BLUE,
        s=14 + 46 * (shades - shades.min()) / np.ptp(shades) if told and np.ptp(shades) else 24,
        cmap="cividis" if told else None,
        edgecolors=BLACK,
        linewidths=[1.2 if trial.number in chosen else 0 for trial in trials],
        alpha=0.9,
    )
    if told and shade is not None:
        bar = figure.colorbar(points, ax=axes, shrink=0.9)
        bar.set_label(shade.axis, size=_FONT + 1)
        bar.ax.tick_params(labelsize=_FONT)
    dot: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 5, "markeredgewidth": 1.2}
    axes.plot([], [], **dot, color=BLACK if told else BLUE, mec="none", label="candidate")
    if chosen:
        axes.plot([], [], **dot, color="white", mec=BLACK, label="on the front")
    for number, (label, metrics) in enumerate((marks or {}).items()):
        missing = [m.name for m in (across, up) if m.name not in metrics]
        if missing:
            raise StatisticsError(
                f"The mark {label!r} has no {missing[0]!r}, which is an axis of this front; it has "
                f"{', '.join(map(repr, metrics)) or 'nothing'}. Give it, or choose other axes."
            )
        axes.scatter(
            _column(across, [metrics]),
            _column(up, [metrics]),
            marker=_MARKERS[number % len(_MARKERS)],
            color=(ORANGE, GREEN, GREY)[number % 3],
            edgecolors=BLACK,
            linewidths=0.6,
            s=48,
            zorder=4,
            label=label,
        )
    axes.set_xlabel(across.axis)
    axes.set_ylabel(up.axis)
    figure.legend(fontsize=_FONT, loc="outside lower center", ncols=4, frameon=False)
    return figure


def history(search: SearchResult, *, metric: str | None = None) -> Figure:
    """The score of each candidate in the order of trial numbers, and the best so far.

    Only feasible candidates count as best. Failed candidates are ticks at the bottom.

    Args:
        search: The study.
        metric: A metric or fitness term, better when higher unless the fitness wants it lower.
            Default: the first objective, or the weighted sum.

    Raises:
        StatisticsError: No candidate has been evaluated, or none has the metric.
        MissingResourceError: matplotlib is not installed.
    """
    quantities = Quantities(search)
    shown = quantities.find(metric) if metric else quantities.objective(0)
    measured = _measured(search, (shown.name,) if metric else ())
    trials = [(trial, trial.score) for trial in measured if trial.score is not None]
    falling = (shown.better if metric else trials[0][1].directions[0]) in ("lower", "minimize")
    numbers = [trial.number for trial, _ in trials]
    stored = [quantities.of(t)[shown.name] if metric else score.values[0] for t, score in trials]
    values = shown.factor * np.array(stored)
    feasible = [score.feasible for _, score in trials]
    running = np.where(feasible, values, np.inf if falling else -np.inf)
    best = (np.minimum if falling else np.maximum).accumulate(running)
    figure, (axes,) = _figure(4.8, 3.0)
    axes.scatter(numbers, values, s=12, color=GREY, label="candidate")
    line = np.where(np.isinf(best), np.nan, best)
    axes.step(numbers, line, where="post", color=BLUE, linewidth=1.8, label="best so far")
    failed = [trial.number for trial in search.trials if trial.state == "failed"]
    if failed:
        across = axes.get_xaxis_transform()
        axes.plot(failed, [0.02] * len(failed), "|", color=ORANGE, transform=across, label="failed")
    axes.set_xlabel("candidate")
    axes.locator_params("x", integer=True)
    axes.set_ylabel(shown.axis)
    axes.legend(fontsize=_FONT, frameon=False)
    return figure


def correlations(statistics: Statistics, *, partial: bool = False, max_rows: int = 20) -> Figure:
    """Rank correlations of descriptors with their intervals, one panel a measure.

    Filled points are findings: significant after correction, with an interval that excludes 0.

    Args:
        statistics: Result of :func:`rosearch.statistics`.
        partial: Whether to plot the partial correlations given parameters and accuracy.
        max_rows: Maximum number of descriptors; those with the largest correlation in any panel
            are shown.

    Raises:
        StatisticsError: There are no such correlations.
        MissingResourceError: matplotlib is not installed.
    """
    records = statistics.partial if partial else statistics.correlations
    names = _first_names(sorted(records, key=lambda r: -abs(r.estimate)), max_rows)
    panels = by_measure(records)
    figure, grid = _panels(len(panels), names, "correlations")
    for axes, ((measure, given), rows) in zip(grid, panels.items(), strict=True):
        _draw_rows(axes, rows, names, statistics.confidence)
        held = f"\ngiven {', '.join(map(words, given))}" if given else ""
        axes.set_title(f"{words(measure)}{held}", fontsize=_FONT + 1)
        axes.set_xlim(-1, 1)
    figure.supxlabel(_told("rank correlation", statistics), fontsize=_FONT)
    return figure


def importances(statistics: Statistics, *, max_rows: int = 15) -> Figure:
    """Permutation importances with their intervals, one panel a forest.

    The title of a panel gives the forest's R2 on held-out architectures; the panel of a forest
    that does not predict says so.

    Args:
        statistics: Result of :func:`rosearch.statistics`.
        max_rows: Maximum number of descriptors; those with the largest importance are shown.

    Raises:
        StatisticsError: There are no forests.
        MissingResourceError: matplotlib is not installed.
    """
    names = _first_names(sorted(statistics.importances, key=lambda i: -i.estimate), max_rows)
    figure, grid = _panels(len(statistics.forests), names, "forests")
    for axes, forest in zip(grid, statistics.forests, strict=True):
        r2 = f"R2 {forest.r2:.2f} ({forest.low:.2f} to {forest.high:.2f})"
        axes.set_title(f"{words(forest.measure)}\n{r2}", fontsize=_FONT + 1)
        if forest.predicts:
            rows = [i for i in statistics.importances if i.measure == forest.measure]
            _draw_rows(axes, rows, names, statistics.confidence)
        else:
            axes.annotate(
                "does not predict", (0.5, 0.5), xycoords="axes fraction", ha="center", size=_FONT
            )
            axes.set_xticks([])
    figure.supxlabel(_told("fall of R2 when shuffled", statistics), fontsize=_FONT)
    return figure


def enrichment(statistics: Statistics, *, max_rows: int = 20) -> Figure:
    """Odds ratios of operators, edges and encodings on the front, on a logarithmic axis.

    Args:
        statistics: Result of :func:`rosearch.statistics`.
        max_rows: Maximum number of rows; those with the smallest p-values are shown.

    Raises:
        StatisticsError: Nothing was tested.
        MissingResourceError: matplotlib is not installed.
    """
    records = by_p_value(statistics.enrichment)[:max_rows]
    finite = [v for e in records for v in (e.low, e.high) if 0 < v < math.inf]
    low, high = min([*finite, 0.1]) / 2, max([*finite, 10.0]) * 2
    rows = [
        replace(
            e,
            name=f"{e.name} ({e.front_with}/{e.front}, {e.others_with}/{e.others})",
            estimate=min(max(e.estimate, low), high),
            low=max(e.low, low),
            high=min(e.high, high),
        )
        for e in records
    ]
    names = [row.name for row in rows]
    tests = "tests of operators, edges and encodings"
    figure, (axes,) = _panels(len(rows) and 1, names, tests, width=3.8)
    _draw_rows(axes, rows, names, statistics.confidence)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_title("(with it in the front, elsewhere)", fontsize=_FONT + 1)
    figure.supxlabel(_told("odds ratio", statistics), fontsize=_FONT)
    return figure


def save(figure: Figure, path: str | PathLike[str]) -> None:
    """Save a figure for publication: text in PDF and SVG stays text.

    Equal figures give equal files, without the time of writing.

    Args:
        figure: Any matplotlib figure.
        path: The file; its suffix (.pdf, .svg, .png) sets the format. PNG has 300 dpi.

    Raises:
        ValueError: matplotlib cannot save files of that suffix.
    """
    from matplotlib import rc_context

    with rc_context({"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "rosearch"}):
        dated = {".pdf": "CreationDate", ".svg": "Date"}.get(Path(path).suffix.lower())
        figure.savefig(path, dpi=300, metadata={dated: None} if dated else None)


def _figure(width: float, height: float, panels: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure with panels side by side that share the vertical axis; sizes are in inches."""
    matplotlib = try_import("matplotlib.figure", "A plot", "report")
    figure = matplotlib.Figure(figsize=(width, height), dpi=150, layout="constrained")
    grid = list(figure.subplots(1, panels, sharey=True, squeeze=False)[0])
    for axes in grid:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=_FONT)
        axes.xaxis.label.set_fontsize(_FONT + 1)
        axes.yaxis.label.set_fontsize(_FONT + 1)
    return figure, grid


def _panels(
    count: int, names: Sequence[str], what: str, *, width: float = 2.0
) -> tuple[Figure, list[Axes]]:
    """Panels side by side that share rows labelled ``names``, from top to bottom."""
    if not count:
        raise StatisticsError(f"These statistics have no {what} to draw.")
    margin = 0.3 + 0.07 * max(map(len, names), default=0)
    figure, grid = _figure(margin + width * count, 1.2 + _ROW * max(len(names), 4), count)
    for axes in grid:
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(max(len(names), 1) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
    return figure, grid


def _first_names(records: Sequence[Effect], maximum: int) -> list[str]:
    return list(dict.fromkeys(record.name for record in records))[:maximum]


def _draw_rows(
    axes: Axes, records: Sequence[Effect], names: Sequence[str], confidence: float
) -> None:
    """Each record with its interval in the row of its name; findings are filled."""
    for r in records:
        if r.name not in names:
            continue
        row = names.index(r.name)
        colour, face = (BLUE, BLUE) if r.is_finding(confidence) else (GREY, "white")
        axes.plot([r.low, r.high], [row, row], color=colour, linewidth=1.4, solid_capstyle="butt")
        axes.plot([r.estimate], [row], "o", markersize=5, color=colour, markerfacecolor=face)
    axes.axvline(records[0].null, color=GREY, linewidth=0.8, zorder=0)


def _axes(
    search: SearchResult, quantities: Quantities, x: str | None, y: str | None
) -> tuple[Metric, Metric]:
    """The given axes, and those of the front for what is not given."""
    given = [None if name is None else quantities.find(name) for name in (y, x)]
    names = {m.name for m in given if m is not None}
    rest = iter([m for m in quantities.wanted_first if m.name not in names])
    up, across = (m or next(rest, None) for m in given)
    _measured(search, ())
    if up is None or across is None:
        raise StatisticsError(
            f"A candidate of the study {search.study!r} has "
            f"{', '.join(m.name for m in quantities.all) or 'no metrics'}: too little for two axes."
        )
    return across, up


def _shade(quantities: Quantities, color: str | None, axes: Sequence[Metric]) -> Metric | None:
    if color != "auto":
        return None if color is None else quantities.find(color)
    names = {m.name for m in axes}
    return next(
        (m for m in (*quantities.asked, metric("compression")) if m.name not in names), None
    )


def _column(shown: Metric | None, rows: Sequence[Mapping[str, float]]) -> Any:
    """A quantity of every row in the unit in which it is shown, NaN where it is missing."""
    if shown is None:
        return np.full(len(rows), np.nan)
    return shown.factor * np.array([row.get(shown.name, math.nan) for row in rows])


def _measured(search: SearchResult, names: Sequence[str]) -> list[TrialRecord]:
    """The complete trials for which all of these metrics are finite, by number."""
    quantities = Quantities(search)
    trials = [
        t for t in search.trials if t.state == "complete" and set(names) <= quantities.of(t).keys()
    ]
    if not trials:
        what = f" with finite {' and '.join(names)}" if names else ""
        message = f"The study {search.study!r} has no complete candidate{what}: nothing to plot."
        raise StatisticsError(message)
    return trials


def _told(what: str, statistics: Statistics) -> str:
    intervals = f"{100 * statistics.confidence:.0f} % intervals"
    return f"{what}, {intervals}, n = {statistics.n}; filled: shown after correction"
