"""Tables of the searches of lead_search.py, from the committed studies."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from journals import DATA, packed

import rosearch as rs
from rosearch.evolve import TrialRecord

KINDS = {"search": "chosen by a model", "random": "random samples", "hand": "hand-designed"}
"""Studies, and what their candidates are."""


def journal(data: str, kind: str) -> Path:
    """The committed file of a study."""
    return DATA / f"lead-{data}-{kind}.journal.gz"


@cache
def study(data: str, kind: str) -> rs.SearchResult:
    """A committed study."""
    with packed(journal(data, kind)) as storage:
        return rs.load_search(storage, kind)


def searches(data: str) -> list[list[str]]:
    """The studies of a data set, and the search for as long as each of the others took."""
    found = {kind: study(data, kind).trials for kind in KINDS if journal(data, kind).exists()}
    head = ["candidates", "number", "in full", "hours", "feasible", "best fitness", "third best"]
    rows = [[*head, "accuracy of the best", "under both", "worst class", "compression"]]
    for kind, trials in found.items():
        rows.append(_row(KINDS[kind], trials))
    for kind, trials in found.items():
        limit = sum(map(seconds, trials))
        part = _within(found["search"], limit)
        if kind != "search" and len(part) < len(found["search"]):
            rows.append(_row(f"the first chosen, in the time of {KINDS[kind]}", part))
    return rows


def seconds(trial: TrialRecord) -> float:
    """What the training and attack of a candidate took of the processor."""
    return float(trial.metrics.get("seconds", 0.0))


def _within(trials: Sequence[TrialRecord], limit: float) -> list[TrialRecord]:
    """The first candidates, as long as they take together."""
    kept, total = [], 0.0
    for trial in trials:
        total += seconds(trial)
        if total > limit:
            break
        kept.append(trial)
    return kept


def _row(name: str, trials: Sequence[TrialRecord]) -> list[str]:
    full = [t for t in trials if t.state == "complete" and t.score is not None]
    feasible = [(t.score.values[0], t) for t in full if t.score and t.score.feasible]
    feasible.sort(key=lambda pair: -pair[0])
    hours = sum(map(seconds, trials)) / 3600
    cells = [name, str(len(trials)), str(len(full)), f"{hours:.2f}", str(len(feasible))]
    if not feasible:
        return [*cells, *["-"] * 6]
    value, best = feasible[0]
    third = feasible[min(2, len(feasible) - 1)][0]
    shares = ("accuracy", "accuracy_under_attack", "worst_class_under_attack")
    cells += [f"{value:.3f}", f"{third:.3f}"]
    cells += [f"{100 * best.metrics[name]:.1f}" for name in shares]
    return [*cells, f"{best.metrics['compression']:.2f}"]
