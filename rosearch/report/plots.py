"""Plots of a study for papers: each function returns a matplotlib ``Figure``.

Figures are made without pyplot, so no global state changes and no window opens. Colours are those
of Okabe and Ito (2008) and the colour map cividis, which remain distinct with colour vision
deficiencies; shape or position always carries the same information.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rosearch.errors import StatisticsError
from rosearch.evolve import SearchResult
from rosearch.evolve.study.trials import TrialRecord
from rosearch.optional import try_import
from rosearch.report.stats.records import Forest, Statistics, is_shown

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
    accuracy: str = "accuracy",
    robustness: str = "accuracy_under_attack",
    color: str | None = "compression",
) -> Figure:
    """Clean accuracy against accuracy under attack, one point a candidate.

    Points of ``search.front`` have a black edge and are drawn on top.

    Args:
        search: The study.
        marks: Other classifiers, as metrics by label: ``{"teacher": {"accuracy": 0.9,
            "accuracy_under_attack": 0.1}}``.
        accuracy: Metric of the horizontal axis.
        robustness: Metric of the vertical axis.
        color: Metric shown by the colour and size of a point; ``None`` draws all points alike.
            Ignored if no candidate has it.

    Raises:
        StatisticsError: No candidate has both metrics.
        MissingResourceError: matplotlib is not installed.
    """
    trials = _measured(search, (accuracy, robustness))
    figure, axes = _figure(4.8, 3.6)
    chosen = {trial.number for trial in search.front}
    # The front last, so that it is drawn on top.
    trials = sorted(trials, key=lambda trial: trial.number in chosen)
    shades = [trial.metrics.get(color, math.nan) if color else math.nan for trial in trials]
    told = color is not None and all(math.isfinite(shade) for shade in shades)
    low, high = (min(shades), max(shades)) if told else (0.0, 0.0)
    span = high - low
    points = axes.scatter(
        [trial.metrics[accuracy] for trial in trials],
        [trial.metrics[robustness] for trial in trials],
        c=shades if told else BLUE,
        s=[14 + (46 * (s - low) / span if told and span else 10) for s in shades],
        cmap="cividis" if told else None,
        edgecolors=[BLACK if trial.number in chosen else "none" for trial in trials],
        linewidths=[1.2 if trial.number in chosen else 0 for trial in trials],
        alpha=0.9,
    )
    if told:
        bar = figure.colorbar(points, ax=axes, shrink=0.9)
        bar.set_label(_words(str(color)), size=_FONT + 1)
        bar.ax.tick_params(labelsize=_FONT)
    handles = [_dot("candidate", BLACK if told else BLUE, rim=False)]
    if chosen:
        handles.append(_dot("on the front", "white", rim=True))
    for number, (label, metrics) in enumerate((marks or {}).items()):
        handles.append(
            axes.scatter(
                [metrics[accuracy]],
                [metrics[robustness]],
                marker=_MARKERS[number % len(_MARKERS)],
                color=(ORANGE, GREEN, GREY)[number % 3],
                edgecolors=BLACK,
                linewidths=0.6,
                s=48,
                zorder=4,
                label=label,
            )
        )
    axes.set_xlabel(_words(accuracy))
    axes.set_ylabel(_words(robustness))
    figure.legend(
        handles=handles, fontsize=_FONT, loc="outside lower center", ncols=4, frameon=False
    )
    return figure


def history(search: SearchResult, *, metric: str | None = None) -> Figure:
    """The score of each candidate in the order of trial numbers, and the best so far.

    Only feasible candidates count as best. Failed candidates are ticks at the bottom.

    Args:
        search: The study.
        metric: A metric that is better when higher. Default: the fitness, which is the first value
            of the score, in its own direction.

    Raises:
        StatisticsError: No candidate has been evaluated, or none has the metric.
        MissingResourceError: matplotlib is not installed.
    """
    trials = _measured(search, (metric,) if metric else ())
    falling = metric is None and trials[0].score is not None and (
        trials[0].score.directions[0] == "minimize"
    )  # fmt: skip
    figure, axes = _figure(4.8, 3.0)
    xs, ys, best = [], [], []
    record = math.inf if falling else -math.inf
    for trial in trials:
        score = trial.score
        value = trial.metrics[metric] if metric else score.values[0] if score else math.nan
        if score is None or score.feasible:
            record = min(record, value) if falling else max(record, value)
        xs.append(trial.number)
        ys.append(value)
        best.append(record if math.isfinite(record) else math.nan)
    axes.scatter(xs, ys, s=12, color=GREY, label="candidate")
    axes.step(xs, best, where="post", color=BLUE, linewidth=1.8, label="best so far")
    failed = [trial.number for trial in search.trials if trial.state == "failed"]
    if failed:
        across = axes.get_xaxis_transform()
        axes.plot(failed, [0.02] * len(failed), "|", color=ORANGE, transform=across, label="failed")
    axes.set_xlabel("candidate")
    axes.set_ylabel(_words(metric) if metric else "fitness")
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
    strength: dict[str, float] = {}
    for r in records:
        strength[r.name] = max(strength.get(r.name, 0.0), abs(r.estimate))
    names = sorted(strength, key=lambda name: -strength[name])[:max_rows]
    panels = list(dict.fromkeys((r.measure, r.given) for r in records))
    figure, grid = _panels(len(panels), names, "correlations")
    for axes, (measure, given) in zip(grid, panels, strict=True):
        for r in records:
            if (r.measure, r.given) == (measure, given) and r.name in names:
                shown = is_shown(r, statistics.confidence)
                _row(axes, names.index(r.name), r.estimate, r.low, r.high, filled=shown)
        axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
        held = f"\ngiven {', '.join(_words(g) for g in given)}" if given else ""
        axes.set_title(f"{_words(measure)}{held}", fontsize=_FONT + 1)
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
    strength: dict[str, float] = {}
    for i in statistics.importances:
        strength[i.name] = max(strength.get(i.name, i.estimate), i.estimate)
    names = sorted(strength, key=lambda name: -strength[name])[:max_rows]
    figure, grid = _panels(len(statistics.forests), names, "forests", empty=True)
    for axes, forest in zip(grid, statistics.forests, strict=True):
        axes.set_title(f"{_words(forest.measure)}\n{_r2(forest)}", fontsize=_FONT + 1)
        if not forest.predicts:
            axes.text(
                0.5, 0.5, "does not predict", ha="center", transform=axes.transAxes, fontsize=_FONT
            )
            axes.set_xticks([])
            continue
        for i in statistics.importances:
            if i.measure == forest.measure and i.name in names:
                shown = is_shown(i, statistics.confidence)
                _row(axes, names.index(i.name), i.estimate, i.low, i.high, filled=shown)
        axes.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    figure.supxlabel(_told("fall of R2 when shuffled", statistics), fontsize=_FONT)
    return figure


def enrichment(statistics: Statistics, *, max_rows: int = 20) -> Figure:
    """Odds ratios of operators and edges on the front, on a logarithmic axis.

    Args:
        statistics: Result of :func:`rosearch.statistics`.
        max_rows: Maximum number of rows; those with the smallest p-values are shown.

    Raises:
        StatisticsError: Nothing was tested.
        MissingResourceError: matplotlib is not installed.
    """
    records = sorted(statistics.enrichment, key=lambda e: (e.p_corrected, e.p))[:max_rows]
    names = [f"{e.name} ({e.front_with}/{e.front}, {e.others_with}/{e.others})" for e in records]
    figure, (axes,) = _panels(1, names, "tests of operators and edges", width=3.8)
    finite = [v for e in records for v in (e.low, e.high) if 0 < v < math.inf]
    low, high = min([*finite, 0.1]) / 2, max([*finite, 10.0]) * 2
    for place, e in enumerate(records):
        ends = [min(max(value, low), high) for value in (e.estimate, e.low, e.high)]
        shown = is_shown(e, statistics.confidence)
        _row(axes, place, *ends, filled=shown)
    axes.axvline(1, color=GREY, linewidth=0.8, zorder=0)
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


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = _new(width, height)
    axes = figure.subplots()
    _plain(axes)
    return figure, axes


def _new(width: float, height: float) -> Figure:
    matplotlib = try_import("matplotlib.figure", "A plot", "report")
    figure: Figure = matplotlib.Figure(figsize=(width, height), dpi=150, layout="constrained")
    return figure


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=_FONT)
    axes.xaxis.label.set_fontsize(_FONT + 1)
    axes.yaxis.label.set_fontsize(_FONT + 1)


def _panels(
    count: int, names: Sequence[str], what: str, *, empty: bool = False, width: float = 2.0
) -> tuple[Figure, list[Axes]]:
    """Panels side by side that share rows labelled ``names``, from top to bottom."""
    if not count or not (names or empty):
        raise StatisticsError(f"These statistics have no {what} to draw.")
    margin = 0.3 + 0.07 * max(map(len, names), default=0)
    figure = _new(margin + width * count, 1.2 + _ROW * max(len(names), 4))
    grid = list(figure.subplots(1, count, sharey=True, squeeze=False)[0])
    for axes in grid:
        _plain(axes)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(max(len(names), 1) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
    return figure, grid


def _row(axes: Axes, place: int, estimate: float, low: float, high: float, *, filled: bool) -> None:
    colour = BLUE if filled else GREY
    axes.plot([low, high], [place, place], color=colour, linewidth=1.4, solid_capstyle="butt")
    axes.plot(
        [estimate], [place], "o", markersize=5, color=colour, markerfacecolor=colour if filled else
        "white",
    )  # fmt: skip


def _dot(label: str, face: str, *, rim: bool) -> Any:
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], linestyle="", marker="o", markersize=5, label=label, markerfacecolor=face,
        markeredgecolor=BLACK if rim else "none", markeredgewidth=1.2,
    )  # fmt: skip


def _measured(search: SearchResult, names: Sequence[str]) -> list[TrialRecord]:
    """The complete trials for which all of these metrics are finite, by number."""
    trials = [
        trial
        for trial in search.trials
        if trial.state == "complete"
        and all(math.isfinite(trial.metrics.get(name, math.nan)) for name in names)
    ]
    if not trials:
        what = f" with finite {' and '.join(names)}" if names else ""
        raise StatisticsError(
            f"The study {search.study!r} has no complete candidate{what}, so there is nothing to "
            f"plot."
        )
    return trials


def _r2(forest: Forest) -> str:
    return f"R2 {forest.r2:.2f} ({forest.low:.2f} to {forest.high:.2f})"


def _told(what: str, statistics: Statistics) -> str:
    level = f"{statistics.confidence:.0%}".replace("%", " %")
    return f"{what}, {level} intervals, n = {statistics.n}; filled: shown after correction"


def _words(name: str) -> str:
    return name.replace("_", " ")
