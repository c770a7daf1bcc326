"""The best of each search of lead_search.py, trained afresh: figures, and how sure they are."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from journals import DATA
from lead_tables import KINDS

WEIGHTS = {"robustness": 1.0, "accuracy": 4.0, "compression": 0.1}
"""A point of accuracy counts as four under attack; halving the size as ten."""

BEST = 3
"""Genomes of each search."""

_RESAMPLES = 10_000

Floats = npt.NDArray[np.float64]
Run = Mapping[str, Any]


class Difference(NamedTuple):
    """How much fitter some students are than others, and its 95 % interval."""

    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.estimate:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


@cache
def confirmed(data: str) -> dict[str, dict[str, Any]]:
    """The genomes of a data set by name, each with its ``runs``."""
    found: dict[str, dict[str, Any]] = json.loads((DATA / f"lead-{data}.json").read_text())
    return found


def text_fitness(run: Run) -> Floats:
    """What each test text adds to the fitness of a student, whose mean is the fitness."""
    digits = np.array(list(run["outcomes"]["both"]), dtype=np.int64)
    size = WEIGHTS["compression"] * np.log2(run["compression"])
    shares = WEIGHTS["robustness"] * (digits == 2) + WEIGHTS["accuracy"] * (digits > 0)
    return np.asarray(shares + size, dtype=np.float64)


def difference(these: Sequence[Run], those: Sequence[Run], *, seed: int = 0) -> Difference:
    """How much fitter these students are than those, paired by training and text.

    The interval is a percentile bootstrap of pairs of trainings and of texts. Three trainings are
    few for it: it is somewhat too narrow.

    Args:
        these: Runs of some genomes.
        those: As many runs with the same seeds.
        seed: Of the bootstrap.
    """
    apart = np.stack([text_fitness(a) - text_fitness(b) for a, b in zip(these, those, strict=True)])
    runs, texts = apart.shape
    rng = np.random.default_rng(seed)
    # How often each is drawn.
    drawn_runs = rng.multinomial(runs, np.full(runs, 1 / runs), size=_RESAMPLES)
    drawn_texts = rng.multinomial(texts, np.full(texts, 1 / texts), size=_RESAMPLES)
    means = ((drawn_runs @ apart) * drawn_texts).sum(axis=1) / (runs * texts)
    low, high = np.quantile(means, [0.025, 0.975])
    return Difference(float(apart.mean()), float(low), float(high))


def runs_of(data: str, kind: str, places: Sequence[int]) -> list[Run]:
    """The runs of some of the best of a search, from place 1, in order."""
    known = confirmed(data)
    return [run for place in places for run in known[f"{kind} {place}"]["runs"]]


def differences(data: str) -> list[list[str]]:
    """The searched students less the others: the first of each, and the first three."""
    head = ["searched less", "the best of each", f"the best {BEST} of each"]
    rows = [head]
    for kind in KINDS:
        if kind == "search" or f"{kind} 1" not in confirmed(data):
            continue
        cells = [
            str(difference(runs_of(data, "search", places), runs_of(data, kind, places)))
            for places in ([1], range(1, BEST + 1))
        ]
        rows.append([KINDS[kind], *cells])
    return rows


def students(data: str) -> list[list[str]]:
    """Mean and standard deviation of each genome over its trainings, per cent."""
    groups = ("both", "textfooler", "textbugger", "genetic")
    head = ["student", "fitness", "accuracy", *(f"under {group}" for group in groups)]
    rows = [[*head[:4], "worst class", *head[4:], "compression"]]
    for name, genome in confirmed(data).items():
        runs = genome["runs"]
        fitness = [float(text_fitness(run).mean()) for run in runs]
        under = [_spread([100 * run[f"under_{group}"] for run in runs]) for group in groups]
        rows.append(
            [
                name,
                _spread(fitness, 3),
                _spread([100 * run["accuracy"] for run in runs]),
                under[0],
                _spread([100 * run["worst_class_under_both"] for run in runs]),
                *under[1:],
                f"{runs[0]['compression']:.2f}",
            ]
        )
    return rows


def _spread(values: Sequence[float], digits: int = 1) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.{digits}f} ± {spread:.{digits}f}"
