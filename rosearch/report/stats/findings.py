"""The results of the tests in sentences, with the sample size needed where nothing is shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rosearch.report.stats.records import (
    RELATIVE_ROBUSTNESS,
    Effect,
    Enrichment,
    Forest,
    Importance,
    Relation,
    by_p_value,
    words,
)
from rosearch.report.stats.table import load

_MAX_SENTENCES = 5
"""Maximum number of relations with one measure that get a sentence each."""

_POWER = 0.8
_SMALL = 0.3
"""Rank correlation for which the required number of architectures is given."""


def of_relations(
    relations: Sequence[Relation],
    groups: Mapping[str, tuple[str, ...]],
    tests: int,
    confidence: float,
) -> list[str]:
    """Sentences on the relations with one measure.

    Args:
        relations: All relations with one measure and the same columns held fixed.
        groups: For each descriptor those that it was tested for, itself first.
        tests: Number of tests that the p-values are corrected for.
        confidence: Level of the intervals.
    """
    first = relations[0]
    target = words(first.measure)
    given = tuple(words(name) for name in first.given)
    if first.measure == RELATIVE_ROBUSTNESS and len(given) == 1:
        given = ()  # part of the measure's name
    held = f"With {_listed(given)} held fixed, " if given else ""
    shown = [r for r in relations if r.is_finding(confidence)]
    sentences = []
    if not shown:
        n, k = first.n, len(first.given)
        sentences.append(
            f"{held}no descriptor is shown to relate to {target} (n = {n}, {len(relations)} "
            f"tested). With this n a correlation of {detectable(n, tests, k, confidence):.2f} is "
            f"detected with 80 % power; one of {_SMALL} needs n = "
            f"{needed(_SMALL, tests, k, confidence)}."
        )
    kind = "partial rank correlation" if first.given else "rank correlation"
    shown.sort(key=lambda r: -abs(r.estimate))
    for r in shown[:_MAX_SENTENCES]:
        same = groups.get(r.name, (r.name,))[1:]
        also = f" (and {', '.join(same)}, which are collinear with it)" if same else ""
        sentences.append(
            f"{held}higher {r.name}{also} goes with {'higher' if r.estimate > 0 else 'lower'} "
            f"{target}: {kind} {r.estimate:.2f} ({_interval(r, confidence)}, n = {r.n}, "
            f"corrected p = {r.p_corrected:.2g})."
        )
    rest = shown[_MAX_SENTENCES:]
    if rest:
        each = [f"{r.name} {r.estimate:.2f} ({r.low:.2f} to {r.high:.2f})" for r in rest]
        sentences.append(
            f"{held}{target} also goes with, less strongly: {'; '.join(each)}; n = {first.n}, "
            f"{100 * confidence:.0f} % intervals."
        )
    return [s[0].upper() + s[1:] for s in sentences]


def of_forest(
    forest: Forest, found: Sequence[Importance], given: Sequence[str], confidence: float
) -> list[str]:
    """Sentences on one forest: how well it predicts, and its important descriptors.

    Args:
        forest: The forest.
        found: Its importances.
        given: What was held fixed in what it predicts.
        confidence: Level of the intervals.
    """
    target = words(forest.measure) + (f" with {_listed(given)} held fixed" if given else "")
    figures = (
        f"R2 {forest.r2:.2f} on held-out architectures ({_interval(forest, confidence)}, "
        f"n = {forest.n})"
    )
    if not forest.predicts:
        start = f"A forest does not predict {target} from the descriptors: {figures}"
        return [f"{start}; so its importances are omitted."]
    shown = [i for i in found if i.is_finding(confidence)]
    sentences = [f"A forest predicts {target} from the descriptors: {figures}."]
    sentences += [
        f"{i.name} is important for predicting {target}: R2 falls by {i.estimate:.2f} when it "
        f"is permuted ({_interval(i, confidence)}, n = {i.n}, corrected p = {i.p_corrected:.2g})."
        for i in sorted(shown, key=lambda i: -i.estimate)
    ]
    return sentences


def of_enrichment(
    records: Sequence[Enrichment], front: int, n: int, confidence: float
) -> list[str]:
    """Sentences on operators, edges and encodings that are more or less frequent on the front."""
    if not records:
        sentence = (
            f"Operators of the front cannot be tested: {front} of {n} architectures are on it, and "
            f"no operator, edge or encoding is common enough among some and absent from enough "
            f"others."
        )
        return [sentence]
    shown = [e for e in records if e.is_finding(confidence)]
    if not shown:
        sentence = (
            f"No operator, edge or encoding is shown to be more or less frequent on the front "
            f"({front} of n = {n} architectures, {len(records)} tested)."
        )
        return [sentence]
    return [
        f"The {e.kind} {e.name} is {'more' if e.estimate > 1 else 'less'} frequent on the front: "
        f"{e.front_with} of {e.front} have it, {e.others_with} of {e.others} others (odds ratio "
        f"{e.estimate:.2g}, {_interval(e, confidence)}, n = {e.n}, corrected p = "
        f"{e.p_corrected:.2g})."
        for e in by_p_value(shown)
    ]


def detectable(n: int, tests: int, given: int, confidence: float) -> float:
    """The correlation that is detected with a power of 0.8, by Fisher's transformation.

    Args:
        n: Number of architectures.
        tests: Number of tests that p-values are corrected for, by Holm's first step.
        given: Number of columns held fixed.
        confidence: One minus the significance level.
    """
    return math.tanh(_distance(tests, confidence) / math.sqrt(max(n - 3 - given, 1)))


def needed(correlation: float, tests: int, given: int, confidence: float) -> int:
    """The number of architectures that detects ``correlation`` with a power of 0.8."""
    distance = _distance(tests, confidence) / math.atanh(correlation)
    return math.ceil(distance**2) + 3 + given


def _distance(tests: int, confidence: float) -> float:
    norm = load("scipy.stats").norm
    return float(norm.isf((1 - confidence) / (2 * tests)) + norm.ppf(_POWER))


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _interval(record: Effect | Forest, confidence: float) -> str:
    return f"{100 * confidence:.0f} % interval {record.low:.2f} to {record.high:.2f}"
