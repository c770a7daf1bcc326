"""A study as a table: one row for each architecture, with its descriptors and metrics."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from rosearch.errors import StatisticsError
from rosearch.evolve import SearchResult
from rosearch.evolve.study.trials import TrialRecord
from rosearch.optional import try_import
from rosearch.space import Genome, Task, genome_cost
from rosearch.space.descriptors import aligned, descriptors

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
Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """The architectures of a study.

    Attributes:
        genomes: The genome of each row.
        numbers: The numbers of the trials of each row.
        descriptors: Values of shape (rows,) by descriptor.
        metrics: Values of shape (rows,) by metric, NaN where a trial lacks it; ``parameters`` is
            always among them.
        left_out: Number of trials without a row, by reason.
    """

    genomes: tuple[Genome, ...]
    numbers: tuple[tuple[int, ...], ...]
    descriptors: Mapping[str, Floats]
    metrics: Mapping[str, Floats]
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class Chance:
    """The accuracy of a constant classifier, near which students are left out.

    Attributes:
        majority: Share of the majority class; ``None`` keeps all students.
        examples: Number of examples that accuracy is measured on.
        confidence: Level of the Wilson interval of accuracy.
    """

    majority: float | None
    examples: int
    confidence: float

    def is_near(self, accuracy: float) -> bool:
        """Whether the interval of ``accuracy`` reaches down to the majority's share."""
        if self.majority is None:
            return False
        if not 0 <= accuracy <= 1:
            raise StatisticsError(
                f"accuracy must be from 0 to 1 to be compared with the majority class, got "
                f"{accuracy:g}. majority=None keeps all students."
            )
        test = load("scipy.stats").binomtest(round(accuracy * self.examples), self.examples)
        return bool(test.proportion_ci(self.confidence, method="wilson").low <= self.majority)

    def __str__(self) -> str:
        if self.majority is None:
            return "Students near chance are included (majority=None)."
        return (
            f"Students near chance are left out, assuming that the majority class has a share of "
            f"{self.majority:g} and that accuracy was measured on {self.examples} examples "
            f"({100 * self.confidence:.0f} % Wilson interval). A study stores neither number: "
            f"check both."
        )


def load(module: str) -> Any:
    """An optional package that statistics need, such as ``"scipy.stats"``.

    Raises:
        MissingResourceError: It is not installed.
    """
    return try_import(module, "The statistics of a study", "report")


def tabulate(
    search: SearchResult,
    measures: tuple[str, str],
    chance: Chance,
    *,
    rung: int | None,
    describe: Describe | None,
    teacher: Any,
) -> Table:
    """The table of a study.

    Args:
        search: The study.
        measures: The metrics that are clean accuracy and accuracy under attack.
        chance: Leaves out students near chance.
        rung: As in :func:`rosearch.report.statistics`.
        describe: As in :func:`rosearch.report.statistics`.
        teacher: As in :func:`rosearch.report.statistics`.

    Raises:
        StatisticsError: Fewer than :data:`MINIMUM` architectures are left.
        MissingResourceError: pandas is not installed.
    """
    pd = load("pandas")
    left_out: Counter[str] = Counter()
    last = max((t.rung or 0 for t in search.trials if t.state == "complete"), default=0)
    rows = []
    for trial in search.trials:
        metrics = _at_rung(trial, rung, last)
        if metrics is None:
            left_out[trial.state if trial.state != "complete" else "stopped"] += 1
        elif not all(math.isfinite(metrics.get(name, math.nan)) for name in measures):
            left_out["not_finite"] += 1
        elif chance.is_near(metrics[measures[0]]):
            left_out["near_chance"] += 1
        else:
            rows.append({"key": trial.key, "number": trial.number, **metrics})
    genomes = {trial.key: trial.genome for trial in reversed(search.trials)}
    found = len({row["key"] for row in rows})
    if found < MINIMUM:
        raise StatisticsError(_too_few(search, found, left_out, chance))
    # Repeated evaluations of a genome are not independent rows.
    left_out["repeated"] = len(rows) - found
    by_key = pd.DataFrame(rows).groupby("key", sort=False)
    means = by_key.mean(numeric_only=True).drop(columns="number")
    chosen = tuple(genomes[key] for key in means.index)
    described, parameters = _described(chosen, means, describe, teacher)
    return Table(
        genomes=chosen,
        numbers=tuple(by_key["number"].agg(tuple)),
        descriptors=_columns(described),
        metrics=_columns(means.assign(parameters=parameters)),
        left_out={reason: left_out[reason] for reason in _REASONS if left_out[reason]},
    )


def in_words(left_out: Mapping[str, int]) -> str:
    """The reasons why trials have no row, such as ``"3 failed, 1 still running"``."""
    return ", ".join(f"{left_out[r]} {text}" for r, text in _REASONS.items() if left_out.get(r))


def _at_rung(trial: TrialRecord, rung: int | None, last: int) -> Mapping[str, float] | None:
    """The metrics of a trial at ``rung``, or at the ``last``; ``None`` if it did not finish it."""
    if rung is not None and rung < len(trial.rungs):
        return trial.rungs[rung]
    wanted = last if rung is None else rung
    return trial.metrics if trial.state == "complete" and (trial.rung or 0) == wanted else None


def _described(
    genomes: tuple[Genome, ...], metrics: Any, describe: Describe | None, teacher: Any
) -> tuple[Any, Floats]:
    """A frame of descriptors, and the number of parameters of each student."""
    task = Task() if teacher is None else Task.of(teacher)
    rows = [describe(g) if describe else descriptors(g, teacher=task) for g in genomes]
    # A genome without an encoding lacks the descriptors of those that have it.
    complete = rows if describe else aligned(rows)
    frame = load("pandas").DataFrame(complete, index=metrics.index).astype(float)
    for name in frame:
        if not np.isfinite(frame[name]).all():
            raise StatisticsError(
                f"describe() must return the same names for every genome, with finite values; the "
                f"descriptor {name!r} is missing or not finite for some."
            )
    measured = metrics[[name for name in ("parameters", "flops") if name in metrics]]
    measured = measured.dropna(axis="columns")
    if describe is None:  # prefer what was measured on the student
        frame[measured.columns] = measured
    for source in (measured, frame):
        if "parameters" in source:
            return frame, source["parameters"].to_numpy()
    task = Task() if teacher is None else Task.of(teacher)
    return frame, np.array([float(genome_cost(g, task).parameters) for g in genomes])


def _columns(frame: Any) -> dict[str, Floats]:
    return {str(name): frame[name].to_numpy(dtype=float) for name in frame}


def _too_few(search: SearchResult, found: int, left_out: Mapping[str, int], chance: Chance) -> str:
    text = (
        f"Statistics need at least {MINIMUM} architectures; the study {search.study!r} has {found}."
    )
    if left_out:
        text += f" Of its {len(search.trials)} trials these were left out: {in_words(left_out)}."
    if found + left_out.get("near_chance", 0) >= MINIMUM:
        text += (
            f" Students near chance were left out for majority={chance.majority:g} and examples="
            f"{chance.examples}; pass the values of your data, or majority=None to keep all."
        )
    if "stopped" in left_out:
        text += " rung=0 compares all candidates by their first measurement."
    return text
