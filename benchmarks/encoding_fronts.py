"""The picture of accuracy and robustness of students by encodings and bounds, for README.md."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from encoding_tables import results

KINDS = {
    "none": ("no encoding", "X"),
    "word": ("no encoding, WordPerturbation", "P"),
    "spelling": ("spelling", "s"),
    "spelling, classes": ("spelling, word classes, by strength", "o"),
    "spelling, synonym": ("spelling, published synonym encodings", "^"),
    "spelling, frequent": ("spelling, published synonym encodings", "^"),
    "spelling, bound": ("spelling, token scores, TextCNN, by bound", "D"),
    "spelling, classes, bound": ("the same behind word classes, by bound", "*"),
    "spelling, classes, bound, joint": ("the same, trained together, by bound", "h"),
    "spelling, bound, weight": ("spelling, token scores alone, by weight", "d"),
}
"""Start of a row's name to the label and marker of its kind."""

TITLES = ("movie reviews, two classes", "BBC News, five topics")


def draw(path: Path) -> None:
    """Draw both data sets, a point for the mean over the trainings of each row."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    with plt.rc_context({"svg.hashsalt": "fronts", "font.size": 9}):
        figure, panels = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
        for axes, data, title in zip(panels, ("movies", "news"), TITLES, strict=True):
            _panel(axes, _points(data))
            axes.set_title(title)
        panels[0].set_ylabel("accuracy under PWWS and DeepWordBug (%)")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def _points(data: str) -> dict[str, list[tuple[str, float, float]]]:
    """For each kind of row its points: a name, accuracy and accuracy under attack, per cent."""
    runs: dict[str, list[Mapping[str, Any]]] = {}
    for one in results():
        if one["data"] == data and "seed" in one:
            runs.setdefault(one["row"], []).append(one)
    found: dict[str, list[tuple[str, float, float]]] = {}
    for row, own in runs.items():
        kind = ", ".join(part.partition(" ")[0] for part in row.split(", "))
        if kind not in KINDS or "all sources" in row:
            continue
        accuracy = statistics.fmean(one["accuracy"] for one in own)
        under = statistics.fmean(one["both"]["under"] for one in own)
        name = next(iter(re.findall(r"[\d.]+", row)[::-1]), "")  # the last setting in it
        found.setdefault(kind, []).append((name, 100 * accuracy, 100 * under))
    return found


def _panel(axes: Any, points: Mapping[str, Sequence[tuple[str, float, float]]]) -> None:
    kinds: dict[tuple[str, str], list[tuple[str, float, float]]] = {}
    for start, looks in KINDS.items():
        kinds.setdefault(looks, []).extend(points.get(start, ()))
    for number, ((label, marker), own) in enumerate(kinds.items()):
        is_dial = ", by " in label
        if is_dial:
            own.sort(key=lambda point: float(point[0]))
        x, y = [point[1] for point in own], [point[2] for point in own]
        style = {"marker": marker, "linestyle": "-" if is_dial else "", "color": f"C{number}"}
        axes.plot(x, y, label=label, **style)
        for name, a, b in own if is_dial else ():
            axes.annotate(name, (a, b), textcoords="offset points", xytext=(5, 4), fontsize=7)
    axes.set_xlabel("accuracy (%)")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
