"""A study as a table: one row for each architecture, with its descriptors and metrics."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rosearch.errors import StatisticsError
from rosearch.evolve import SearchResult
from rosearch.evolve.study.trials import TrialRecord
from rosearch.optional import try_import
from rosearch.space import Genome, Task, genome_cost
from rosearch.space.descriptors import descriptors

MINIMUM = 20
"""Minimum number of architectures for statistics."""

_REASONS = {
    "failed": "failed",
    "running": "still running",
    "stopped": "stopped at a lower rung",
    "not_finite": "with a missing or non-finite metric",
    "near_chance": "no better than the majority class",
    "repeated": "repeated architectures, averaged into one row",
}
"""Reasons why a trial has no row of its own."""

Describe = Callable[[Genome], Mapping[str, float]]


@dataclass(frozen=True)
class Table:
    """The architectures of a study.

    Attributes:
        genomes: The genome of each row.
        numbers: The numbers of the trials of each row.
        descriptors: Values of shape (rows,) by descriptor.
        metrics: Values of shape (rows,) by metric, NaN where a trial lacks it.
        parameters: Parameters of each student, shape (rows,).
        left_out: Number of trials without a row, by reason.
    """

    genomes: tuple[Genome, ...]
    numbers: tuple[tuple[int, ...], ...]
    descriptors: Mapping[str, npt.NDArray[np.float64]]
    metrics: Mapping[str, npt.NDArray[np.float64]]
    parameters: npt.NDArray[np.float64]
    left_out: Mapping[str, int]


def load(module: str) -> Any:
    """An optional package that statistics need, such as ``"scipy.stats"``.

    Raises:
        MissingResourceError: It is not installed.
    """
    return try_import(module, "The statistics of a study", "report")


def tabulate(
    search: SearchResult,
    *,
    robustness: str,
    accuracy: str,
    describe: Describe | None,
    teacher: Any,
    majority: float | None,
    examples: int,
    rung: int | None,
    confidence: float,
) -> Table:
    """The table of a study; the arguments are those of :func:`rosearch.report.statistics`.

    Raises:
        StatisticsError: Fewer than :data:`MINIMUM` architectures are left.
        MissingResourceError: pandas is not installed.
    """
    pd = load("pandas")
    left_out: Counter[str] = Counter()
    rows = []
    for trial, metrics in _at_rung(search.trials, rung, left_out):
        values = [metrics.get(name, math.nan) for name in (accuracy, robustness)]
        if not all(math.isfinite(value) for value in values):
            left_out["not_finite"] += 1
        elif majority is not None and _near_chance(values[0], majority, examples, confidence):
            left_out["near_chance"] += 1
        else:
            rows.append({"key": trial.key, "number": trial.number, **metrics})
    counts = {reason: left_out[reason] for reason in _REASONS if left_out[reason]}
    keys = {row["key"] for row in rows}
    if len(keys) < MINIMUM:
        raise StatisticsError(_too_few(search, len(keys), counts, majority, examples))
    # Repeated evaluations of a genome are not independent rows.
    frame = pd.DataFrame(rows)
    metrics = frame.drop(columns="number").groupby("key", sort=False).mean(numeric_only=True)
    numbers = frame.groupby("key", sort=False)["number"].agg(tuple)
    if len(rows) > len(keys):
        counts["repeated"] = len(rows) - len(keys)
    genome_of = {trial.key: trial.genome for trial in reversed(search.trials)}
    genomes = tuple(genome_of[key] for key in metrics.index)
    described, parameters = _described(genomes, metrics, describe, teacher)
    return Table(
        genomes=genomes,
        numbers=tuple(numbers[key] for key in metrics.index),
        descriptors=described,
        metrics={str(name): metrics[name].to_numpy(dtype=float) for name in metrics},
        parameters=parameters,
        left_out=counts,
    )


def in_words(left_out: Mapping[str, int]) -> str:
    """The reasons why trials have no row, such as ``"3 failed, 1 still running"``."""
    return ", ".join(f"{count} {_REASONS[reason]}" for reason, count in left_out.items())


def _at_rung(
    trials: Iterable[TrialRecord], rung: int | None, left_out: Counter[str]
) -> list[tuple[TrialRecord, Mapping[str, float]]]:
    """The trials that finished one rung, with their metrics there."""
    chosen: list[tuple[TrialRecord, Mapping[str, float]]] = []
    trials = list(trials)
    last = max((_rung(t) for t in trials if t.state == "complete"), default=0)
    for trial in trials:
        finished: tuple[Mapping[str, float], ...] = getattr(trial, "rungs", ())
        if rung is not None and rung < len(finished):
            chosen.append((trial, finished[rung]))
        elif trial.state == "complete" and _rung(trial) == (last if rung is None else rung):
            chosen.append((trial, trial.metrics))
        else:
            left_out[trial.state if trial.state != "complete" else "stopped"] += 1
    return chosen


def _rung(trial: TrialRecord) -> int:
    rung: int | None = getattr(trial, "rung", None)
    return rung or 0


def _near_chance(accuracy: float, majority: float, examples: int, confidence: float) -> bool:
    if not 0 <= accuracy <= 1:
        raise StatisticsError(
            f"accuracy must be from 0 to 1 to be compared with the majority class, got "
            f"{accuracy:g}. majority=None keeps all students."
        )
    test = load("scipy.stats").binomtest(round(accuracy * examples), examples)
    low = test.proportion_ci(confidence_level=confidence, method="wilson").low
    return bool(low <= majority)


def _described(
    genomes: tuple[Genome, ...], metrics: Any, describe: Describe | None, teacher: Any
) -> tuple[dict[str, npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
    """Descriptors by name, and the number of parameters of each student."""
    if describe is None:
        rows = [dict(descriptors(genome, teacher=teacher)) for genome in genomes]
    else:
        rows = [dict(describe(genome)) for genome in genomes]
    names = rows[0].keys()
    for row in rows:
        if row.keys() != names:
            raise StatisticsError(
                f"describe() must return the same names for every genome; some lack "
                f"{sorted(row.keys() ^ names)}."
            )
    columns = {name: np.array([float(row[name]) for row in rows]) for name in names}
    for name, column in columns.items():
        if not np.isfinite(column).all():
            raise StatisticsError(f"The descriptor {name!r} is not finite for every genome.")
    for name in ("parameters", "flops"):  # prefer what was measured on the student
        measured = metrics[name].to_numpy(dtype=float) if name in metrics else np.array(math.nan)
        if np.isfinite(measured).all() and (describe is None or name == "parameters"):
            columns[name] = measured
    if describe is None or "parameters" in columns:
        parameters = columns["parameters"]
    else:
        task = Task() if teacher is None else Task.of(teacher)
        parameters = np.array([float(genome_cost(g, task).parameters) for g in genomes])
    return {name: columns[name] for name in names}, parameters


def _too_few(
    search: SearchResult,
    found: int,
    left_out: Mapping[str, int],
    majority: float | None,
    examples: int,
) -> str:
    text = (
        f"Statistics need at least {MINIMUM} architectures; the study {search.study!r} has {found}."
    )
    if left_out:
        text += f" Of its {len(search.trials)} trials these were left out: {in_words(left_out)}."
    if left_out.get("near_chance"):
        text += (
            f" Students near chance were left out for majority={majority:g} and "
            f"examples={examples}; pass the values of your data, or majority=None to keep all."
        )
    if left_out.get("stopped"):
        text += " rung=0 compares all candidates by their first measurement."
    return text
