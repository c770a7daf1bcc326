"""Makes a table of genomes from the searches on movie reviews, each trained twice.

    python benchmarks/encoding_matrix.py teachers    # fine-tunes the teacher
    python benchmarks/genome_table.py train          # goes on where it was
    python benchmarks/genome_table.py pack           # the committed studies, at any time
    python benchmarks/genome_table.py export FILE    # the table of what has been packed

Its genomes are the first random samples of lead_search.py, whatever became of them, and all that
its studies evaluated in full. Each has two trainings, of different seeds, as far as the second rung
of the searches: one epoch and three. Those of its study count, so most genomes need one more.
``export`` leaves out genomes that have not been trained twice yet. Where the teacher was fine-tuned
anew since the searches, their trainings and these have slightly different ones.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # one process a core is faster than one process with all

import argparse
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import encoding_matrix
import lead_search
from journals import DATA, pack, packed, restore
from lead_tables import study
from make_tabular import WARMING, EveryRung
from tabular import Table

import rosearch as rs
from rosearch.evolve import TrialRecord
from rosearch.pipeline.rungs import mean_metrics

OUT = Path("runs/genomes")
SOURCES = ("search", "random", "hand")
SAMPLES = 80
RUNGS = lead_search.SETTINGS["movies"].rungs[:2]
METRICS = (
    "accuracy", "accuracy_under_attack", "worst_class_under_attack", "attack_success_rate",
    "mean_queries", "certified", "parameters", "compression", "flops", "latency", "seconds",
)  # fmt: skip
SPREADS = ("accuracy_std", "accuracy_under_attack_std")
STUDIES = {"once": 4, "twice": 5}
"""Studies by the trainings that their genomes need, and their seeds, which no search has."""


class Entry(NamedTuple):
    """A genome of the table."""

    source: str
    trial: TrialRecord

    @property
    def needs(self) -> int:
        """Trainings beside that of its search, which may have ended after the first rung."""
        return 1 if len(self.trial.rungs) >= len(RUNGS) else 2


def entries() -> dict[str, Entry]:
    """The genomes of the table by their keys: samples first."""
    found: dict[str, Entry] = {}
    for trial in study("movies", "random").trials[:SAMPLES]:
        if trial.rungs:
            found.setdefault(trial.key, Entry("random", trial))
    for kind in SOURCES:
        # Those of random samples are no samples any more: rungs selected them.
        source = f"{kind}, in full"
        for trial in study("movies", kind).trials:
            if trial.state == "complete":
                found.setdefault(trial.key, Entry(source, trial))
    return found


def committed(name: str) -> Path:
    """The committed file of a study."""
    return DATA / f"genomes-{name}.journal.gz"


def pipeline(teacher: rs.Teacher, trainings: int) -> rs.Pipeline:
    """Training and attack as in the searches, as far as the second rung."""
    _, dev, _ = encoding_matrix.splits("movies")
    attacker = rs.RobustnessEvaluator(
        encoding_matrix.MAIN, dev, examples=RUNGS[-1].examples, certify=True, progress=False
    )
    return rs.Pipeline(
        lead_search.distiller("movies", teacher),
        attacker,
        rungs=[replace(rung, trainings=trainings) for rung in RUNGS],
        clock=time.process_time,
    )


def train(options: argparse.Namespace) -> None:
    """Train what has not been trained twice."""
    teacher = lead_search.cached_teacher("movies")
    executor = options.workers if options.workers > 1 else None
    for trainings, name in enumerate(STUDIES, start=1):
        needed = (entry for entry in entries().values() if entry.needs == trainings)
        names = METRICS if trainings == 1 else (*METRICS, *SPREADS)
        genomes = [entry.trial.genome for entry in needed]
        evolver = rs.Evolver(
            lead_search.space("movies", teacher),
            EveryRung(pipeline(teacher, trainings), names, warming()),
            fitness(),
            storage=restore(committed(name), name, OUT / name),
            study=name,
            strategy="random",  # it is not asked
            initial_genomes=genomes,
            seed=STUDIES[name],
        )
        count = min(options.candidates or len(genomes), len(genomes))
        print(evolver.run(count, executor=executor))


def warming() -> rs.Genome:
    """Reads all that inputs and encodings can ask for."""
    encodings = (encoding_matrix.SPELLING, encoding_matrix.classes(0.1))
    return replace(WARMING, encodings=encodings, bound=0.5, scopes=encoding_matrix.SCOPES["movies"])


def fitness() -> rs.Fitness:
    """That of the searches."""
    return rs.Fitness.from_settings(study("movies", "search").settings["fitness"])


def pack_studies(_: argparse.Namespace) -> None:
    """Write what there is as small files."""
    for name in STUDIES:
        if (OUT / name).exists():
            pack(restore(committed(name), name, OUT / name), name, committed(name))


def packed_studies() -> dict[str, rs.SearchResult]:
    """The committed trainings beside those of the searches."""
    found = {}
    for name in STUDIES:
        if committed(name).exists():
            with packed(committed(name)) as storage:
                found[name] = rs.load_search(storage, name)
    return found


def rows(entry: Entry, again: Mapping[str, float]) -> list[dict[str, float]]:
    """The metrics of a genome at each rung, means of two trainings.

    ``seconds`` are those of one training, and none of the searches', which other code on other
    machines took; ``accuracy_std`` and ``accuracy_under_attack_std`` are standard deviations.
    """
    found = []
    for rung in range(len(RUNGS)):
        row = {name: again[f"rung{rung}_{name}"] for name in METRICS}
        if entry.needs == 1:
            both = [{name: entry.trial.rungs[rung][name] for name in METRICS}, row]
            row = mean_metrics(both)
        else:
            row |= {name: again[f"rung{rung}_{name}"] for name in SPREADS}
        row.pop("trainings", None)
        found.append({**row, "seconds": again[f"rung{rung}_seconds"] / entry.needs})
    return found


def export(options: argparse.Namespace) -> None:
    """Write the table of what has been trained twice."""
    studies = packed_studies()
    second = {
        t.key: t.metrics
        for found in studies.values()
        for t in found.trials
        if t.state == "complete"
    }
    if not second:
        sys.exit("Nothing has been packed yet: run the steps train and pack first.")
    whole = {key: entry for key, entry in entries().items() if key in second}
    table = Table(
        tuple(entry.trial.genome for entry in whole.values()),
        tuple(zip(*(rows(entry, second[key]) for key, entry in whole.items()), strict=True)),
        {
            "data": "movie-review sentences, Hutto and Gilbert (ICWSM 2014), all of them",
            "settings": {
                "searches": study("movies", "search").settings,
                **{name: found.settings for name, found in studies.items()},
            },
            "versions": next(iter(studies.values())).versions,
            "trainings": 2,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread a candidate",
            "sources": [entry.source for entry in whole.values()],
        },
    )
    table.save(options.file)
    print(f"{len(table)} of {len(entries())} genomes in {options.file}")


def main() -> None:
    """One step."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    steps = {"train": train, "pack": pack_studies, "export": export}
    parser.add_argument("step", choices=steps)
    parser.add_argument("file", type=Path, nargs="?", help="of the table")
    parser.add_argument("--candidates", type=int, help="at most, of each study")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args()
    if options.step == "export" and options.file is None:
        parser.error("export needs the file to write to")
    steps[options.step](options)


if __name__ == "__main__":
    main()
