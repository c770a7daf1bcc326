"""What the candidates of lead_search.py say about architecture and robustness."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from bounded_genomes import INPUTS
from lead_tables import finished, study
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import rosearch as rs
from rosearch.evolve import TrialRecord
from rosearch.space.descriptors import descriptors

RUNG = 1
"""From which on candidates are trained in full."""
TEXTS = {"movies": 1585, "news": 307}
"""Dev texts that accuracy is measured on."""
EPOCHS = {"movies": ("one epoch", "three epochs"), "news": ("two epochs", "six epochs")}
"""Of the first rung, and of those that are trained in full."""
MEASURES = {"accuracy": "accuracy", "under both": "accuracy_under_attack"}
_FIXED = ("bound", "strength", "spelling", "input")
_FOLDS, _REPEATS = 10, 5
_FEW = 5
"""Genomes below which a group has no row."""


@cache
def trained(data: str) -> tuple[TrialRecord, ...]:
    """Each genome that was trained in full, once, of all studies of a data set."""
    found: dict[str, TrialRecord] = {}
    for kind in finished(data):
        for trial in study(data, kind).trials:
            if trial.state in ("complete", "stopped") and len(trial.rungs) > RUNG:
                found.setdefault(trial.key, trial)
    return tuple(found.values())


def described(genome: rs.Genome) -> dict[str, float]:
    """Descriptors of the graph, and a column for each value of what is no part of it."""
    left_out = ("bound", "encoding_", "input_", "scopes")
    kept = {name: v for name, v in descriptors(genome).items() if not name.startswith(left_out)}
    encodings = {one.name: one.parameters for one in genome.encodings}
    strength = encodings.get("word_classes", {}).get("strength")
    columns = {f"bound_{value}": genome.bound == value for value in (0.1, 0.3, 0.5, 1.0, None)}
    columns |= {f"strength_{s}": strength == s for s in (0.02, 0.05, 0.1, 0.2, None)}
    columns["spelling"] = "spelling" in encodings
    columns |= {f"input_{name}": name == genome.embedding.operator for name in INPUTS}
    return kept | {name: float(value) for name, value in columns.items()}


def findings(data: str) -> str:
    """What the statistics say of graphs, all else held fixed."""
    merged = rs.SearchResult.from_trials(data, trained(data), rs.Fitness({"robustness": 1.0}))
    found = rs.statistics(merged, rung=RUNG, examples=TEXTS[data], describe=described, given=_FIXED)
    left_out = sum(found.left_out.values())
    head = f"{found.n} architectures; {left_out} that are no better than chance are left out."
    return "\n".join([head, "", *(f"- {sentence}" for sentence in found.findings)])


def explained(data: str) -> list[list[str]]:
    """Share of the variance between genomes that parts of them predict, of genomes left out.

    Ridge regression on the columns of :func:`described`, ten-fold, five times: for the genomes that
    were trained in full, for all random samples after the first rung, and for those of them whose
    graphs nothing bounds.
    """
    first, whole = EPOCHS[data]
    random = [trial for trial in study(data, "random").trials if trial.rungs]
    unbounded = [trial for trial in random if trial.genome.bound is None]
    populations = (
        (trained(data), RUNG, whole),
        (random, 0, first),
        (unbounded, 0, f"{first}, no token scores"),
    )
    head = ["predicted from", "columns"]
    table = [
        ["encodings, bound and input"],
        ["the graph"],
        ["all"],
    ]
    for trials, rung, name in populations:
        rows = [described(trial.genome) for trial in trials]
        names = list(rows[0])
        columns = np.array([[row[name] for name in names] for row in rows])
        is_fixed = np.array([name.startswith(_FIXED) for name in names])
        parts = (is_fixed, ~is_fixed, np.ones_like(is_fixed))
        if len(table[0]) == 1:
            for row, part in zip(table, parts, strict=True):
                row.append(str(part.sum()))
        for title, metric in MEASURES.items():
            head.append(f"{title}, {name} ({len(trials)})")
            values = np.array([trial.rungs[rung][metric] for trial in trials])
            for row, part in zip(table, parts, strict=True):
                row.append(f"{round(_held_out(columns[:, part], values), 2) + 0:.2f}")
    return [head, *table]


def _held_out(columns: Any, values: Any) -> float:
    """R squared of predictions for genomes that a model has not seen."""
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 13)))
    found = []
    for seed in range(_REPEATS):
        folds = KFold(_FOLDS, shuffle=True, random_state=seed)
        predicted = cross_val_predict(model, columns, values, cv=folds)
        found.append(1 - ((values - predicted) ** 2).mean() / values.var())
    return statistics.fmean(found)


def rungs(names: Mapping[str, str]) -> list[list[str]]:
    """Rank correlations of the fitness at the first and second rung, of genomes that reached both.

    Of all, and of the half that is fitter at the second rung.
    """
    table = [["data", "genomes", "all", "the fitter half"]]
    for data, name in names.items():
        both = sorted(trained(data), key=lambda trial: -trial.scores[RUNG].values[0])
        found = []
        for some in (both, both[: len(both) // 2]):
            first, second = ([trial.scores[k].values[0] for trial in some] for k in (0, RUNG))
            found.append(f"{spearmanr(first, second).statistic:.2f}")
        table.append([name, str(len(both)), *found])
    return table


def groups(data: str) -> list[list[str]]:
    """Mean and standard deviation of genomes behind spelling that differ in graph and input."""
    table = [["bound", "strength", "genomes", *MEASURES]]
    for (bound, strength), own in _by_bound_and_strength(data, spelling=True).items():
        if len(own) < _FEW:
            continue
        shown = ["-" if value is None else str(value) for value in (bound, strength)]
        for metric in MEASURES.values():
            values = [100 * metrics[metric] for metrics in own]
            deviation = statistics.stdev(values)
            shown.append(f"{statistics.fmean(values):.1f} ± {deviation:.1f}")
        table.append([*shown[:2], str(len(own)), *shown[2:]])
    return table


def _by_bound_and_strength(
    data: str, *, spelling: bool = False
) -> dict[tuple[Any, Any], list[Mapping[str, float]]]:
    """Metrics of all that were trained in full, or of those behind the spelling encoding."""
    found: dict[tuple[Any, Any], list[Mapping[str, float]]] = {}
    for trial in trained(data):
        if spelling and all(one.name != "spelling" for one in trial.genome.encodings):
            continue
        strengths = [one.parameters.get("strength") for one in trial.genome.encodings]
        strength = next((s for s in strengths if s is not None), None)
        found.setdefault((trial.genome.bound, strength), []).append(trial.rungs[RUNG])
    order = sorted(found, key=lambda pair: tuple(map(_last_if_none, pair)))
    return {pair: found[pair] for pair in order}


def draw(data: str, path: Path) -> None:
    """Draw accuracy and robustness of all that were trained in full, by bound and strength."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    found = _by_bound_and_strength(data)
    bounds = sorted({bound for bound, _ in found}, key=_last_if_none)
    strengths = sorted({strength for _, strength in found}, key=_last_if_none)
    with plt.rc_context({"svg.hashsalt": "lead", "font.size": 9}):
        figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
        for (bound, strength), own in found.items():
            x, y = ([100 * metrics[name] for metrics in own] for name in MEASURES.values())
            marker, color = "os^D"[strengths.index(strength)], f"C{bounds.index(bound)}"
            axes.plot(x, y, marker, color=color, markersize=4, alpha=0.7)
        for number, bound in enumerate(bounds):
            label = "no bound" if bound is None else f"bound {bound}"
            axes.plot([], [], "o", color=f"C{number}", label=label)
        for marker, strength in zip("os^D", strengths, strict=False):
            label = "no word classes" if strength is None else f"word classes {strength}"
            axes.plot([], [], marker, color="0.4", label=label)
        axes.set_xlabel("accuracy (%)")
        axes.set_ylabel("accuracy under PWWS and DeepWordBug (%)")
        axes.grid(alpha=0.3)
        figure.legend(loc="outside right center", frameon=False)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def _last_if_none(value: float | None) -> float:
    return float("inf") if value is None else value
