"""What the tests show, in sentences; and where they show nothing, what it would take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rosearch.report.stats.records import (
    RELATIVE_ROBUSTNESS,
    Enrichment,
    Forest,
    Importance,
    Relation,
    is_shown,
)
from rosearch.report.stats.table import load

_TOLD = 5
"""Relations with one measure that get a sentence of their own."""

_POWER = 0.8
_SMALL = 0.3
"""Rank correlation for which the number of architectures that it needs is told."""


def words(name: str) -> str:
    """The name of a measure or metric as a sentence has it."""
    return name.replace("_", " ")


def of_relations(
    relations: Sequence[Relation],
    groups: Mapping[str, tuple[str, ...]],
    *,
    tests: int,
    confidence: float,
) -> list[str]:
    """Sentences on the relations with one measure: those shown, or that none is.

    Args:
        relations: All relations with one measure, given the same; none gives no sentence.
        groups: The descriptors that each stands for, itself first.
        tests: Tests that the p-values are corrected for.
        confidence: Of the intervals.
    """
    if not relations:
        return []
    first = relations[0]
    target = words(first.measure)
    given = tuple(words(name) for name in first.given)
    if first.measure == RELATIVE_ROBUSTNESS and len(given) == 1:
        given = ()  # the measure's name says it
    held = f"With {' and '.join(given)} held fixed, " if given else ""
    shown = [r for r in relations if is_shown(r, confidence)]
    sentences = []
    if not shown:
        n, k = first.n, len(first.given)
        sentences.append(
            f"{held}no descriptor is shown to relate to {target} (n = {n}, {len(relations)} "
            f"tested). With this n a correlation of {detectable(n, tests, k, confidence):.2f} is "
            f"found in four of five studies; one of {_SMALL} needs n = "
            f"{needed(_SMALL, tests, k, confidence)}."
        )
    kind = "partial rank correlation" if first.given else "rank correlation"
    shown.sort(key=lambda r: -abs(r.estimate))
    for r in shown[:_TOLD]:
        same = groups.get(r.name, (r.name,))[1:]
        also = f" (and {', '.join(same)}, which cannot be told from it)" if same else ""
        sentences.append(
            f"{held}higher {r.name}{also} goes with {'higher' if r.estimate > 0 else 'lower'} "
            f"{target}: {kind} {r.estimate:.2f} ({_interval(r, confidence)}, n = {r.n}, "
            f"corrected p = {r.p_corrected:.2g})."
        )
    if shown[_TOLD:]:
        listed = "; ".join(
            f"{r.name} {r.estimate:.2f} ({r.low:.2f} to {r.high:.2f})" for r in shown[_TOLD:]
        )
        sentences.append(
            f"{held}{target} also goes with, less strongly: {listed}; n = {first.n}, "
            f"{confidence:.0%} intervals.".replace("%", " %")
        )
    return [s[0].upper() + s[1:] for s in sentences]


def of_forest(forest: Forest, found: Sequence[Importance], confidence: float) -> list[str]:
    """Sentences on one forest: that it does not predict, or how well and what it needs for that."""
    target = words(forest.measure)
    figures = (
        f"R2 {forest.r2:.2f} on held-out architectures ({_interval(forest, confidence)}, "
        f"n = {forest.n})"
    )
    if not forest.predicts:
        start = f"A forest does not predict {target} from the descriptors: {figures}"
        return [f"{start}; so its importances are left out."]
    sentences = [f"A forest predicts {target} from the descriptors: {figures}."]
    shown = [i for i in found if is_shown(i, confidence)]
    sentences += [
        f"The forest needs {i.name} to predict {target}: R2 falls by {i.estimate:.2f} when it "
        f"is shuffled ({_interval(i, confidence)}, n = {i.n}, corrected p = {i.p_corrected:.2g})."
        for i in sorted(shown, key=lambda i: -i.estimate)
    ]
    return sentences


def of_enrichment(
    records: Sequence[Enrichment], front: int, n: int, confidence: float
) -> list[str]:
    """Sentences on what the front has more or less often, or that nothing is shown."""
    if not records:
        sentence = (
            f"Nothing can be said of operators in the front: {front} of {n} architectures are on "
            f"it, and no operator or edge is in some and lacking in others often enough."
        )
        return [sentence]
    shown = [e for e in records if is_shown(e, confidence)]
    if not shown:
        sentence = (
            f"No operator or edge is shown to be more or less frequent in the front ({front} of "
            f"n = {n} architectures, {len(records)} tested)."
        )
        return [sentence]
    sentences = []
    for e in sorted(shown, key=lambda e: e.p_corrected):
        more = "more" if e.estimate > 1 else "less"
        sentences.append(
            f"The {e.kind} {e.name} is {more} frequent in the front: {e.front_with} of {e.front} "
            f"have it, {e.others_with} of {e.others} elsewhere (odds ratio {e.estimate:.2g}, "
            f"{_interval(e, confidence)}, n = {e.n}, corrected p = {e.p_corrected:.2g})."
        )
    return sentences


def detectable(n: int, tests: int, given: int, confidence: float) -> float:
    """The correlation that is shown with a probability of 0.8, by Fisher's transformation.

    Args:
        n: Architectures.
        tests: Tests that p-values are corrected for; the bound is Holm's first step.
        given: Columns held fixed.
        confidence: One minus the level of the test.
    """
    return math.tanh(_distance(tests, confidence) / math.sqrt(max(n - 3 - given, 1)))


def needed(correlation: float, tests: int, given: int, confidence: float) -> int:
    """Architectures with which ``correlation`` is shown with a probability of 0.8."""
    distance = _distance(tests, confidence) / math.atanh(correlation)
    return math.ceil(distance**2) + 3 + given


def _distance(tests: int, confidence: float) -> float:
    norm = load("scipy.stats").norm
    return float(norm.isf((1 - confidence) / (2 * tests)) + norm.ppf(_POWER))


def _interval(record: Relation | Importance | Enrichment | Forest, confidence: float) -> str:
    return f"{confidence:.0%} interval {record.low:.2f} to {record.high:.2f}".replace("%", " %")
