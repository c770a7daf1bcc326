"""Tables of the searches of lead_search.py, from the committed studies."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from journals import DATA, packed

import rosearch as rs
from rosearch.evolve import TrialRecord

KINDS = {
    "search": "chosen by a model",
    "random": "random samples",
    "hand": "hand-designed",
    "second": "chosen in the second round",
}
"""Studies, and what their candidates are."""
SEARCHES = ("search", "second")
"""Those whose candidates a model chose."""
UNFINISHED = {("news", "second")}
"""Studies whose committed files are there to go on from; no table has them."""


def journal(data: str, kind: str) -> Path:
    """The committed file of a study."""
    return DATA / f"lead-{data}-{kind}.journal.gz"


def finished(data: str) -> list[str]:
    """The committed studies of a data set that have their candidates."""
    return [k for k in KINDS if journal(data, k).exists() and (data, k) not in UNFINISHED]


@cache
def study(data: str, kind: str) -> rs.SearchResult:
    """A committed study."""
    with packed(journal(data, kind)) as storage:
        return rs.load_search(storage, kind)


def searches(data: str) -> list[list[str]]:
    """The studies of a data set, and the searches for as long as each of the others took."""
    found = {kind: study(data, kind).trials for kind in finished(data)}
    head = ["candidates", "number", "in full", "hours", "feasible", "best fitness", "third best"]
    rows = [[*head, "accuracy of the best", "under both", "worst class", "compression"]]
    for kind, trials in found.items():
        rows.append(_row(KINDS[kind], trials))
    for search, kind in itertools.product(SEARCHES, found):
        if search in found and kind not in SEARCHES:
            part = _within(found[search], sum(map(seconds, found[kind])))
            if len(part) < len(found[search]):
                name = f"{KINDS[search]}, in the time of {KINDS[kind]}"
                rows.append(_row(name, part))
    return rows


def fittest(data: str, counts: Mapping[str, int]) -> list[list[str]]:
    """The fittest candidates of some studies, and what they are made of."""
    head = ["candidate", "fitness", "accuracy", "under both", "worst class", "compression"]
    rows = [[*head, "bound", "strength", "input", "operators"]]
    for kind, count in counts.items():
        for value, trial in _feasible(study(data, kind).trials)[:count]:
            genome = trial.genome
            strengths = [one.parameters.get("strength") for one in genome.encodings]
            rows.append(
                [
                    f"{kind} {trial.number}",
                    f"{value:.3f}",
                    *_shares(trial),
                    str(genome.bound),
                    ", ".join(str(s) for s in strengths if s is not None),
                    genome.embedding.operator,
                    ", ".join(node.operator for node in genome.nodes),
                ]
            )
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
    feasible = _feasible(trials)
    hours = sum(map(seconds, trials)) / 3600
    cells = [name, str(len(trials)), str(len(full)), f"{hours:.2f}", str(len(feasible))]
    if not feasible:
        return [*cells, *["-"] * 6]
    value, best = feasible[0]
    third = feasible[min(2, len(feasible) - 1)][0]
    return [*cells, f"{value:.3f}", f"{third:.3f}", *_shares(best)]


def _feasible(trials: Sequence[TrialRecord]) -> list[tuple[float, TrialRecord]]:
    """Fitness and trial of those evaluated in full that keep all limits, the fittest first."""
    full = [t for t in trials if t.state == "complete"]
    found = [(t.score.values[0], t) for t in full if t.score is not None and t.score.feasible]
    return sorted(found, key=lambda pair: -pair[0])


def _shares(trial: TrialRecord) -> list[str]:
    shares = ("accuracy", "accuracy_under_attack", "worst_class_under_attack")
    size = f"{trial.metrics['compression']:.2f}"
    return [*(f"{100 * trial.metrics[name]:.1f}" for name in shares), size]
