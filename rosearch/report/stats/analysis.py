"""How architectures relate to accuracy and robustness: the function that runs all tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, compress
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rosearch import checks
from rosearch.evolve import SearchResult
from rosearch.fitness.pareto import pareto_front
from rosearch.report.stats import findings
from rosearch.report.stats.correlations import (
    COLLINEAR,
    Correction,
    Plan,
    collinear,
    corrected,
    relate,
    residuals,
    usable,
)
from rosearch.report.stats.enrichment import KINDS, enrichment
from rosearch.report.stats.importances import importances
from rosearch.report.stats.records import (
    RELATIVE_ROBUSTNESS,
    Forest,
    Importance,
    Statistics,
    by_measure,
)
from rosearch.report.stats.table import Chance, Describe, Floats, Table, in_words, tabulate
from rosearch.seeding import child_seed, generator

_MINIMISED = {"parameters", "flops", "latency", "seconds", "attack_success_rate"}
"""Metrics that are better when lower."""

_TIED = 0.2
"""Share of equal values of a metric above which a note mentions ties."""


def statistics(
    search: SearchResult,
    *,
    robustness: str = "accuracy_under_attack",
    accuracy: str = "accuracy",
    front: Sequence[str] | Literal["search"] | None = None,
    describe: Describe | None = None,
    given: Sequence[str] = (),
    teacher: Any = None,
    majority: float | None = 0.5,
    examples: int = 200,
    rung: int | None = None,
    correction: Correction = "holm",
    confidence: float = 0.95,
    resamples: int = 2000,
    trees: int = 100,
    seed: int = 0,
) -> Statistics:
    """How the architectures of a study relate to their accuracy and robustness.

    Each descriptor of :func:`rosearch.space.descriptors.descriptors` is related to clean accuracy,
    accuracy under attack, and accuracy under attack at equal accuracy, by Spearman's rank
    correlation, by partial rank correlation given parameters and accuracy, and by permutation
    importance in a random forest. Operators, edges and encodings of the front are compared with
    those of the other architectures. Equal arguments give equal results.

    A row is an architecture. Trials that did not complete are left out, and so are students that
    are not better than the majority class: a constant classifier cannot be attacked and would look
    robust. ``left_out`` counts both.

    Args:
        search: The study, with at least 20 architectures.
        robustness: Name of the metric that is accuracy under attack.
        accuracy: Name of the metric that is clean accuracy.
        front: Metrics that span the front; higher is better, except for ``parameters``, ``flops``,
            ``latency``, ``seconds`` and ``attack_success_rate``. Default: those of accuracy,
            robustness and compression that the study has. ``"search"`` takes ``search.front``.
        describe: Maps a genome to its descriptors by name; the same names for every genome.
        given: Descriptors that all correlations and forests hold fixed. The beginning of several
            names stands for all of them: ``"input"`` for ``input_character_embedding`` and so on.
        teacher: A Teacher or a :class:`~rosearch.space.Task`, for parameters and FLOPs that the
            study did not measure.
        majority: Share of the most frequent class among the examples that accuracy is measured on.
            A student counts only if the Wilson interval of its accuracy lies above it. Default: two
            classes of equal size; ``None`` keeps all students.
        examples: Number of examples that accuracy is measured on, for that interval; with a
            :class:`rosearch.Pipeline` the size of the distiller's ``dev``.
        rung: Rung to compare at, from 0; all candidates that finished it count. Default: the
            highest, which excludes candidates that were stopped.
        correction: ``"holm"`` keeps the probability of any false finding in a table below
            ``1 - confidence``; ``"fdr"`` (Benjamini-Hochberg) the expected share of false findings.
        confidence: Level of the intervals, 0.5 to below 1.
        resamples: Bootstrap resamples, at least 100; 2000 for a paper.
        trees: Trees of a forest; 0 computes no forests.
        seed: Seed of bootstrap and forests.

    Raises:
        StatisticsError: Too few architectures.
        ArgumentError: An argument is out of range, or a metric of ``front`` or a descriptor of
            ``given`` is unknown.
        MissingResourceError: scipy, scikit-learn or pandas is not installed.
    """
    if majority is not None:
        checks.number("majority", majority, 0, 1, open_minimum=True, open_maximum=True)
    if rung is not None:
        checks.whole_number("rung", rung, 0)
    checks.whole_number("examples", examples)
    checks.choice("correction", correction, ("holm", "fdr"))
    checks.number("confidence", confidence, 0.5, 1, open_maximum=True)
    checks.whole_number("resamples", resamples, 100)
    checks.whole_number("trees", trees, 0)
    chance = Chance(majority, examples, confidence)
    measures = (accuracy, robustness)
    table = tabulate(search, measures, chance, rung=rung, describe=describe, teacher=teacher)
    names, unused = usable(table.descriptors)
    groups = collinear(names, table.descriptors)
    chosen = {group[0]: table.descriptors[group[0]] for group in groups}
    fixed = _fixed(table, given)
    columns = {**table.descriptors, **table.metrics}
    measured = dict.fromkeys((*table.metrics, *chain(*fixed.values())))
    plain, held = _plans(table, accuracy, robustness, fixed)
    related = relate(
        chosen,
        {name: columns[name] for name in measured},
        [*plain, *held],
        resamples=resamples,
        confidence=confidence,
        rng=generator(seed, "statistics", "bootstrap"),
    )
    correlations = corrected(list(chain(*related[: len(plain)])), correction)
    partial = corrected(list(chain(*related[len(plain) :])), correction)
    fitted = _forests(columns, chosen, plain, trees, confidence, seed) if trees and chosen else []
    important = corrected([i for _, found in fitted for i in found], correction)
    objectives, mask = _front(search, table, front, (*measures, "compression"))
    tests = enrichment(table.genomes, mask, confidence=confidence)
    of_kinds = ([e for e in tests if e.kind == kind] for kind in KINDS)
    enriched = tuple(chain(*(corrected(some, correction) for some in of_kinds)))
    sentences = []
    together = {group[0]: group for group in groups}
    for family in (correlations, partial):
        for relations in by_measure(family).values():
            sentences += findings.of_relations(relations, together, len(family), confidence)
    for forest, _ in fitted:
        own = [i for i in important if i.measure == forest.measure]
        sentences += findings.of_forest(forest, own, tuple(fixed), confidence)
    sentences += findings.of_enrichment(enriched, int(mask.sum()), len(mask), confidence)
    return Statistics(
        study=search.study,
        n=len(table.genomes),
        left_out=table.left_out,
        measures=tuple(plan.measure for plan in plain),
        objectives=objectives,
        front=tuple(chain(*compress(table.numbers, mask))),
        confidence=confidence,
        correction=correction,
        majority=majority,
        examples=examples,
        seed=seed,
        correlations=correlations,
        partial=partial,
        forests=tuple(forest for forest, _ in fitted),
        importances=important,
        enrichment=enriched,
        groups=tuple(group for group in groups if len(group) > 1),
        unused=unused,
        findings=tuple(sentences),
        notes=(str(chance), *_notes(table, groups, unused, measures)),
    )


def _fixed(table: Table, given: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The columns of each name of ``given``."""
    if isinstance(given, str):
        raise checks.refused("given", "a sequence of descriptors", given)
    known = table.descriptors
    fixed = {
        name: (name,) if name in known else tuple(c for c in known if c.startswith(f"{name}_"))
        for name in given
    }
    for name, columns in fixed.items():
        if not columns:
            expected = f"a descriptor or the beginning of several ({', '.join(known)})"
            raise checks.refused("each of given", expected, name)
    return fixed


def _plans(
    table: Table, accuracy: str, robustness: str, fixed: Mapping[str, tuple[str, ...]]
) -> tuple[list[Plan], list[Plan]]:
    """The measures that vary, as they are and with others held fixed."""

    def plan(measure: str, column: str, *given: str) -> Plan:
        own = chain(*(fixed.get(name, (name,)) for name in given))
        return Plan(measure, column, tuple(dict.fromkeys(own)), given)

    varying = [name for name in (robustness, accuracy) if np.ptp(table.metrics[name]) > 0]
    size = ("parameters",) if np.ptp(table.metrics["parameters"]) > 0 else ()
    larger = tuple(dict.fromkeys((*size, *fixed)))
    plain = [plan(name, name, *fixed) for name in varying]
    held = [plan(name, name, *larger) for name in varying if size]
    if len(varying) == 2:
        plain.append(plan(RELATIVE_ROBUSTNESS, robustness, *fixed, accuracy))
        held = [plan(RELATIVE_ROBUSTNESS, robustness, *larger, accuracy), *held[1:]]
    return plain, held


def _forests(
    columns: Mapping[str, Floats],
    chosen: Mapping[str, Floats],
    plans: Sequence[Plan],
    trees: int,
    confidence: float,
    seed: int,
) -> list[tuple[Forest, list[Importance]]]:
    fitted = []
    for plan in plans:
        values = columns[plan.column]
        if plan.given:
            values = residuals(values, np.stack([columns[name] for name in plan.given], axis=1))
            if not np.ptp(values):
                continue
        stream = child_seed(seed, "statistics", "forest") % 2**32
        measured = chosen, plan.measure, values
        fitted.append(importances(*measured, trees=trees, confidence=confidence, seed=stream))
    return fitted


def _front(
    search: SearchResult,
    table: Table,
    front: Sequence[str] | Literal["search"] | None,
    usual: Sequence[str],
) -> tuple[tuple[str, ...], npt.NDArray[np.bool_]]:
    """The metrics that span the front, and a mask of the architectures on it."""
    if front == "search":
        chosen = {trial.number for trial in search.front}
        mask = [not chosen.isdisjoint(numbers) for numbers in table.numbers]
        return ("search.front",), np.array(mask, dtype=bool)
    if front is None:
        full = {name for name, column in table.metrics.items() if not np.isnan(column).any()}
        objectives = tuple(name for name in usual if name in full)
    else:
        objectives = tuple(front)
    if not objectives or not table.metrics.keys() >= set(objectives):
        known = ", ".join(table.metrics)
        raise checks.refused("front", f"'search' or metrics of the study ({known})", front)
    signs = np.array([-1.0 if name in _MINIMISED else 1.0 for name in objectives])
    points = np.stack([table.metrics[name] for name in objectives], axis=1)
    return objectives, pareto_front(points * signs)


def _notes(
    table: Table,
    groups: Sequence[tuple[str, ...]],
    unused: Mapping[str, str],
    measures: tuple[str, str],
) -> list[str]:
    notes = []
    if table.left_out:
        notes.append(f"Trials without a row of their own: {in_words(table.left_out)}.")
    if table.left_out.get("stopped"):
        notes.append(
            "Those that were not stopped were selected by their score, which biases relations "
            "among them; rung=0 compares all."
        )
    for name in measures:
        counts = np.unique(table.metrics[name], return_counts=True)[1]
        if len(counts) == 1:
            notes.append(
                f"{name} is {table.metrics[name][0]:g} for every architecture, so nothing can be "
                f"related to it."
            )
        elif counts.max() / counts.sum() > _TIED:
            notes.append(
                f"{counts.max()} of {counts.sum()} architectures share one value of {name}; ties "
                f"hide relations."
            )
    same = [" = ".join(group) for group in groups if len(group) > 1]
    if same:
        notes.append(
            f"Descriptors with a rank correlation beyond ±{COLLINEAR} are tested once, under the "
            f"first name: {'; '.join(same)}."
        )
    if unused:
        reasons = "; ".join(f"{name} {reason}" for name, reason in unused.items())
        notes.append(f"Not tested: {reasons}.")
    notes.append(
        "Candidates of a search descend from each other and were selected by their score; the "
        "tests treat them as independent. These are associations within the search, not causes."
    )
    return notes
