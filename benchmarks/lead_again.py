"""Trains genomes of the searches of lead_search.py again, from other seeds.

    python benchmarks/encoding_matrix.py teachers     # fine-tunes the teachers
    python benchmarks/lead_again.py movies            # goes on where it was
    python benchmarks/lead_again.py movies --export   # the committed files

Every genome is taken to the second rung, whatever its figures: those that a search evaluated in
full, and the first random samples, which nothing selected. Two trainings tell how much of a figure
is the luck of one.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # one process a core is faster than one process with all

import argparse
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from journals import DATA, pack, restore
from lead_confirmed import WEIGHTS
from lead_search import OUT, SETTINGS, cached_teacher, pipeline, space
from lead_tables import study

import rosearch as rs
from rosearch.evolve import TrialRecord

SEEDS = {"again-second": 11, "again-first": 12}
"""By study; the searches have 0 to 3. The first trainings are of what a search had stopped."""
RUNGS = 2
"""The third rung only attacks more texts."""
SAMPLES = 80
"""Random samples."""


class EveryRung:
    """An evaluation that goes through the first rungs of another, with the metrics of each.

    Those of the last rung have their names, those of rung ``k`` also the name ``rungk_NAME``.
    """

    def __init__(self, pipeline: rs.Pipeline) -> None:
        self.pipeline = pipeline

    @property
    def settings(self) -> Mapping[str, Any]:
        return {**self.pipeline.settings, "taken": RUNGS}

    def __call__(self, genome: rs.Genome, *, seed: int) -> dict[str, float]:
        found: dict[str, float] = {}
        metrics: dict[str, float] = {}
        try:
            for rung in range(RUNGS):
                metrics = self.pipeline(genome, seed=seed, rung=rung)
                found |= {f"rung{rung}_{name}": value for name, value in metrics.items()}
        finally:
            self.pipeline.finish(genome, seed=seed)
        return {**metrics, **found}


def again_file(data: str, training: str) -> Path:
    """The committed file of a study."""
    return DATA / f"lead-{data}-{training}.journal.gz"


def candidates(data: str) -> dict[str, TrialRecord]:
    """What is trained again, by the key of its genome: samples and what was chosen, in turns."""
    samples = study(data, "random").trials[:SAMPLES]
    chosen = [t for kind in ("search", "hand") for t in study(data, kind).trials]
    whole = [trial for trial in chosen if trial.state == "complete"]
    turns = itertools.chain.from_iterable(itertools.zip_longest(samples, whole))
    found: dict[str, TrialRecord] = {}
    for trial in turns:
        if trial is not None:
            found.setdefault(trial.key, trial)
    return found


def run(data: str, training: str, workers: int) -> None:
    """Go on until all have been trained."""
    teacher = cached_teacher(data)
    genomes = [
        trial.genome
        for trial in candidates(data).values()
        if training == "again-second" or len(trial.rungs) < RUNGS
    ]
    evolver = rs.Evolver(
        space(data, teacher),
        EveryRung(pipeline(data, teacher)),
        rs.Fitness(WEIGHTS),
        storage=restore(again_file(data, training), training, OUT / data / training),
        study=training,
        strategy="random",  # it is not asked
        initial_genomes=genomes,
        seed=SEEDS[training],
    )
    print(evolver.run(len(genomes), executor=workers if workers > 1 else None))


def export(data: str) -> None:
    """Write what is finished as small files."""
    for training in SEEDS:
        if (OUT / data / training).exists():
            storage = restore(again_file(data, training), training, OUT / data / training)
            pack(storage, training, again_file(data, training))


def main() -> None:
    """Train, or write the files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", choices=SETTINGS)
    parser.add_argument("--export", action="store_true", help="only write the committed files")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args()
    if options.export:
        export(options.data)
        return
    for training in SEEDS:
        run(options.data, training, options.workers)


if __name__ == "__main__":
    main()
