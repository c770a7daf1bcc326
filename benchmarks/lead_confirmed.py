"""The best of each search of lead_search.py, trained afresh: figures, and how sure they are."""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from journals import DATA
from lead_tables import KINDS, SEARCHES

WEIGHTS = {"robustness": 1.0, "accuracy": 4.0, "compression": 0.1}
"""A point of accuracy counts as four under attack; halving the size as ten."""

BEST = 3
"""Genomes of each search."""

SHARES = {
    "accuracy": "accuracy",
    "under_both": "under both",
    "worst_class_under_both": "worst class",
}
ATTACKS = {
    "pwws": "PWWS",
    "deepwordbug": "DeepWordBug",
    "textfooler": "TextFooler",
    "textbugger": "TextBugger",
    "genetic": "genetic",
}

_RESAMPLES = 10_000

Floats = npt.NDArray[np.float64]
Run = Mapping[str, Any]


class Difference(NamedTuple):
    """How much fitter some students are than others, and its 95 % interval."""

    estimate: float
    low: float
    high: float

    def shown(self, digits: int) -> str:
        """As text."""
        low, high = (f"{bound:+.{digits}f}" for bound in (self.low, self.high))
        return f"{self.estimate:+.{digits}f} ({low} to {high})"


@cache
def confirmed(data: str) -> dict[str, dict[str, Any]]:
    """The genomes of a data set by name, each with its ``runs``."""
    found: dict[str, dict[str, Any]] = json.loads((DATA / f"lead-{data}.json").read_text())
    return found


def text_fitness(run: Run) -> Floats:
    """What each test text adds to the fitness of a student, whose mean is the fitness."""
    digits = np.array(list(run["outcomes"]["both"]), dtype=np.int64)
    shares = WEIGHTS["robustness"] * (digits == 2) + WEIGHTS["accuracy"] * (digits > 0)
    return np.asarray(shares + _size(run), dtype=np.float64)


def text_shares(digit: int, run: Run) -> Floats:
    """100 for each test text of which there is at least this digit: 1 for right, 2 under attack."""
    digits = np.array(list(run["outcomes"]["both"]), dtype=np.int64)
    return np.asarray(100.0 * (digits >= digit), dtype=np.float64)


def difference(
    these: Sequence[Run],
    those: Sequence[Run],
    value: Callable[[Run], Floats] = text_fitness,
    *,
    seed: int = 0,
) -> Difference:
    """How much fitter these students are than those, paired by training and text.

    The interval is a percentile bootstrap of genomes, of seeds and of texts: all genomes are
    trained with the same seeds and attacked on the same texts. Three genomes or seeds are few for
    it: it is somewhat too narrow.

    Args:
        these: Runs of some genomes, for each genome one a seed.
        those: As many runs with the same seeds; the genomes are paired in order.
        value: Value of each text for a run, instead of its share of the fitness.
        seed: Of the bootstrap.
    """
    apart = np.stack([value(a) - value(b) for a, b in zip(these, those, strict=True)])
    seeds = len({run["seed"] for run in these})
    runs, texts = apart.shape
    drawn_runs, drawn_texts = _drawn(runs // seeds, seeds, texts, seed, _RESAMPLES)
    means = ((drawn_texts @ apart.T) * drawn_runs).sum(axis=1) / (runs * texts)
    low, high = np.quantile(means, [0.025, 0.975])
    return Difference(float(apart.mean()), float(low), float(high))


@cache
def _drawn(genomes: int, seeds: int, texts: int, seed: int, count: int) -> tuple[Floats, Floats]:
    """How often each run, genome by genome, and each text is drawn, a row for each resample."""
    rng = np.random.default_rng(seed)
    of_genomes, of_seeds, of_texts = (
        rng.multinomial(n, np.full(n, 1 / n), size=count).astype(np.float64)
        for n in (genomes, seeds, texts)
    )
    of_runs = of_genomes[:, :, None] * of_seeds[:, None, :]
    return of_runs.reshape(count, -1), of_texts


def runs_of(data: str, kind: str, places: Sequence[int]) -> list[Run]:
    """The runs of some of the best of a search, from place 1, in order."""
    known = confirmed(data)
    return [run for place in places for run in known[f"{kind} {place}"]["runs"]]


def differences(data: str) -> list[list[str]]:
    """The students of each search less the others: the first of each, and the first three.

    Of fitness, and of what it is made of: points of accuracy and under both attacks, and what the
    size adds to the fitness.
    """
    parts = ("fitness", "accuracy", "under both", "of the fitness by size")
    rows = [["searched", "compared with", "which", *parts]]
    for search, kind in itertools.product(SEARCHES, KINDS):
        if kind in SEARCHES[SEARCHES.index(search) :]:
            continue
        for name, places in (("the best", [1]), (f"the best {BEST}", range(1, BEST + 1))):
            if any(f"{of} {k}" not in confirmed(data) for of in (search, kind) for k in places):
                continue
            these, those = runs_of(data, search, places), runs_of(data, kind, places)
            size = statistics.fmean(map(_size, these)) - statistics.fmean(map(_size, those))
            points = [difference(these, those, partial(text_shares, k)).shown(1) for k in (1, 2)]
            found = [difference(these, those).shown(3), *points, f"{size:+.3f}"]
            rows.append([KINDS[search], KINDS[kind], name, *found])
    return rows


def students(data: str) -> list[list[str]]:
    """Mean and standard deviation of each genome over its trainings, per cent."""
    heads = {f"under_{name}": head for name, head in ATTACKS.items()}
    rows = [["student", "fitness", *SHARES.values(), *heads.values(), "compression"]]
    for name, genome in confirmed(data).items():
        runs = genome["runs"]
        fitness = [float(text_fitness(run).mean()) for run in runs]
        shares = [_spread([100 * run[share] for run in runs]) for share in (*SHARES, *heads)]
        rows.append([name, _spread(fitness, 3), *shares, f"{runs[0]['compression']:.2f}"])
    return rows


def by_textattack(data: str) -> list[list[str]]:
    """One student under TextAttack itself and under rosearch, per cent."""
    found = json.loads((DATA / f"lead-{data}-textattack.json").read_text())
    heads = {"accuracy": "accuracy", **{f"under_{k}": ATTACKS[k] for k in ("pwws", "deepwordbug")}}
    theirs = {f"TextAttack {found['textattack']['version']}": found["textattack"]}
    rows = [["attacked by", *heads.values()]]
    for name, one in {**theirs, "rosearch": found["rosearch"]}.items():
        rows.append([name, *(f"{100 * one[head]:.1f}" for head in heads)])
    return rows


def _size(run: Run) -> float:
    return float(WEIGHTS["compression"] * np.log2(run["compression"]))


def _spread(values: Sequence[float], digits: int = 1) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):.{digits}f} ± {spread:.{digits}f}"
