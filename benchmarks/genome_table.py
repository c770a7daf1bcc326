"""Makes a table of genomes from the searches on movie reviews, each trained twice.

    python benchmarks/encoding_matrix.py teachers    # fine-tunes the teacher
    python benchmarks/genome_table.py train          # goes on where it was
    python benchmarks/genome_table.py pack           # the committed studies, at any time
    python benchmarks/genome_table.py export FILE    # the table of what is there

Its genomes are the first random samples of lead_search.py, whatever became of them, and all that
its studies evaluated in full. Each has two trainings, of different seeds, as far as the second rung
of the searches: one epoch and three. Those of its study count, so most genomes need one more.
``export`` leaves out genomes that have not been trained twice yet.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # one process a core is faster than one process with all

import argparse
import platform
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import encoding_matrix
import lead_search
from journals import DATA, pack, packed, restore
from lead_tables import KINDS, journal, study
from make_tabular import EveryRung
from tabular import Table

import rosearch as rs
from rosearch.evolve import TrialRecord
from rosearch.pipeline.rungs import mean_metrics

OUT = Path("runs/genomes")
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
    for kind in KINDS:
        for trial in study("movies", kind).trials if journal("movies", kind).exists() else ():
            if trial.state == "complete":
                found.setdefault(trial.key, Entry(kind, trial))
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
        genomes = [entry.trial.genome for entry in needed][: options.candidates]
        evolver = rs.Evolver(
            lead_search.space("movies", teacher),
            EveryRung(pipeline(teacher, trainings), names),
            fitness(),
            storage=restore(committed(name), name, OUT / name),
            study=name,
            strategy="random",  # it is not asked
            initial_genomes=genomes,
            seed=STUDIES[name],
        )
        print(evolver.run(len(genomes), executor=executor))


def fitness() -> rs.Fitness:
    """That of the searches."""
    return rs.Fitness.from_settings(study("movies", "search").settings["fitness"])


def pack_studies(_: argparse.Namespace) -> None:
    """Write what there is as small files."""
    for name in STUDIES:
        if (OUT / name).exists():
            pack(restore(committed(name), name, OUT / name), name, committed(name))


def trained() -> dict[str, Mapping[str, float]]:
    """The metrics of the trainings beside those of the searches, by genome."""
    found: dict[str, Mapping[str, float]] = {}
    for name in STUDIES:
        if committed(name).exists():
            with packed(committed(name)) as storage:
                trials = rs.load_search(storage, name).trials
            found |= {t.key: t.metrics for t in trials if t.state == "complete"}
    return found


def rows(entry: Entry, again: Mapping[str, float]) -> list[dict[str, float]]:
    """The metrics of a genome at each rung, means of two trainings.

    ``seconds`` are those of one training, and ``accuracy_std`` and ``accuracy_under_attack_std``
    the standard deviations of two.
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
        found.append({**row, "seconds": row["seconds"] / 2})
    return found


def export(options: argparse.Namespace) -> None:
    """Write the table of what has been trained twice."""
    second = trained()
    whole = {key: entry for key, entry in entries().items() if key in second}
    table = Table(
        tuple(entry.trial.genome for entry in whole.values()),
        tuple(zip(*(rows(entry, second[key]) for key, entry in whole.items()), strict=True)),
        {
            "data": "movie-review sentences, Hutto and Gilbert (ICWSM 2014), all of them",
            "settings": study("movies", "search").settings,
            "versions": study("movies", "search").versions,
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
