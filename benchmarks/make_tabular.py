"""Makes the tabular benchmark: genomes, distilled and attacked at two fidelities.

The genomes are random samples of the default space between 4.6 and 6.5 times smaller than the
teacher, within the FLOPs of movie_search.py. So that good regions are dense, too, as tables for
search research have them (Zela et al. 2022, "Surrogate NAS Benchmarks"), every third of the first
120 is a mutant of one of the best so far, and the candidates of first_search.py, which are measured
in the same way, join them. One training says little, so the fittest are then trained a second time,
and the table has the means. Every step is kept in a study on disk: kill it whenever you like, the
same command goes on. Without a study it goes on from the one that is committed.

    python benchmarks/make_tabular.py --candidates 190          # after make demo, one core each
    python benchmarks/make_tabular.py --again                   # second trainings, fittest first
    python benchmarks/make_tabular.py --export                  # at any time: the committed table
    python benchmarks/make_tabular.py --export elsewhere.json.gz
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # one process a core is faster than one process with all

import argparse
import contextlib
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import material
import numpy as np
from journals import DATA, pack, restore
from movie_search import FITNESS, pipeline, space, splits
from tabular import Table
from tabular.table import FILE

import rosearch as rs
from rosearch.errors import StorageError
from rosearch.evolve import SearchResult, Strategy, TrialRecord
from rosearch.fitness import rank_order
from rosearch.space import Embedding

STUDY = "tabular"
JOURNAL = DATA / "tabular.journal.gz"
SEARCH = "search"
"""The study of first_search.py."""
SEARCH_JOURNAL = DATA / "first_search.journal.gz"
AGAIN = "again"
"""The study of second trainings."""
AGAIN_JOURNAL = DATA / "tabular_again.journal.gz"
METRICS = (
    "accuracy", "accuracy_under_attack", "worst_class_under_attack", "attack_success_rate",
    "mean_queries", "parameters", "compression", "flops", "latency", "seconds",
)  # fmt: skip
ELITE = 20
"""How many of the best so far have mutants."""
MUTANTS_UNTIL = 120
"""From this candidate on there are samples only: a search looks closer at good regions."""
WARMING = rs.Genome(
    width=64, embedding_width=128, embedding=Embedding("synonym_code_embedding"), pooling="mean"
)
"""Reads all that inputs can ask for."""


class EveryRung:
    """An evaluation that goes through all rungs of another and returns the metrics of each.

    Those of the last rung have their names, those of rung ``k`` also the name ``rungk_NAME``.
    ``seconds`` are those of the processor, which depend less on what else a machine does; what
    all candidates of a process share, such as replacements of words, is made before they count.
    """

    def __init__(
        self, pipeline: rs.Pipeline, names: Sequence[str] = METRICS, warming: rs.Genome = WARMING
    ) -> None:
        self.pipeline = pipeline
        self.names = tuple(names)
        self._warming = warming
        self._warm = False

    @property
    def settings(self) -> Mapping[str, Any]:
        return {**self.pipeline.settings, "seconds": "processor"}

    def __call__(self, genome: rs.Genome, *, seed: int) -> dict[str, float]:
        if not self._warm:
            self.pipeline(self._warming, seed=0, rung=0)
            self.pipeline.finish(self._warming, seed=0)
            self._warm = True
        found: dict[str, float] = {}
        metrics: dict[str, float] = {}
        start = time.process_time()
        try:
            for rung in range(self.pipeline.rungs):
                metrics = self.pipeline(genome, seed=seed, rung=rung)
                metrics["seconds"] = time.process_time() - start
                found |= {f"rung{rung}_{name}": metrics[name] for name in self.names}
        finally:
            self.pipeline.finish(genome, seed=seed)
        return {**metrics, **found}


def is_random(number: int) -> bool:
    """Whether a candidate of this number is a sample of the space."""
    return number % 3 != 2 or number >= MUTANTS_UNTIL


class TwoThirdsRandom(Strategy):
    """Two samples, then a mutant of one of the best so far; in the end samples only."""

    def __init__(self, *, elite: int = ELITE) -> None:
        self.elite = elite

    def propose(
        self,
        space: rs.SearchSpace,
        trials: Sequence[TrialRecord],
        *,
        number: int,
        rng: np.random.Generator,
    ) -> rs.Genome:
        scored = [(t.genome, t.score) for t in trials if t.score is not None]
        if is_random(number) or not scored:
            return space.sample(seed=rng)
        best = rank_order([score for _, score in scored])[: self.elite]
        return space.mutate(scored[best[rng.integers(len(best))]][0], seed=rng)


def material_of(
    options: argparse.Namespace,
) -> tuple[rs.Teacher, rs.TextDataset, rs.TextDataset]:
    """Teacher, sentences to train on and sentences to measure on."""
    teacher = rs.Teacher.from_pretrained(options.teacher or material.cached_teacher())
    train, dev, _ = splits()
    teacher.logits(train)  # computed here once, so that no candidate's seconds include it
    return teacher, train, dev


def make(options: argparse.Namespace) -> None:
    """Go on until the study has its candidates."""
    teacher, train, dev = material_of(options)
    evolver = rs.Evolver(
        space(teacher),
        EveryRung(pipeline(teacher, train, dev)),
        FITNESS,
        storage=restore(JOURNAL, STUDY, options.out),
        study=STUDY,
        strategy=TwoThirdsRandom(),
    )
    executor = options.workers if options.workers > 1 else None
    print(evolver.run(options.candidates, executor=executor))


def again(options: argparse.Namespace) -> None:
    """Train and attack the feasible candidates a second time, the fittest first."""
    teacher, train, dev = material_of(options)
    scores = {t.genome: t.score for _, t in collected(options)[1] if t.score and t.score.feasible}
    genomes = [list(scores)[place] for place in rank_order(list(scores.values()))]
    evolver = rs.Evolver(
        space(teacher),
        pipeline(teacher, train, dev, rungs=()),
        FITNESS,
        storage=restore(AGAIN_JOURNAL, AGAIN, options.out / AGAIN),
        study=AGAIN,
        strategy="random",  # it is not asked
        initial_genomes=genomes,
        seed=2,  # 0 was the table's, 1 the search's: equal seeds train equal students
    )
    print(evolver.run(len(genomes), executor=options.workers if options.workers > 1 else None))


def collected(options: argparse.Namespace) -> tuple[SearchResult, list[tuple[str, TrialRecord]]]:
    """The table's own study, and what is finished in it and in the search, each genome once."""
    own = rs.load_search(restore(JOURNAL, STUDY, options.out), STUDY)
    candidates = [("random" if is_random(t.number) else "mutants", t) for t in own.trials]
    with contextlib.suppress(StorageError):  # no search has begun
        search = rs.load_search(restore(SEARCH_JOURNAL, SEARCH, options.search), SEARCH)
        candidates += [("searched", trial) for trial in search.trials]
    found: dict[str, tuple[str, TrialRecord]] = {}
    for source, trial in candidates:
        if trial.state == "complete":
            found.setdefault(trial.key, (source, trial))
    if not found:
        sys.exit(f"The study in {options.out} has no finished candidate yet.")
    return own, list(found.values())


def second_trainings(options: argparse.Namespace) -> dict[str, TrialRecord]:
    """What was trained a second time, by the key of its genome."""
    with contextlib.suppress(StorageError):  # nothing was
        found = rs.load_search(restore(AGAIN_JOURNAL, AGAIN, options.out / AGAIN), AGAIN)
        return {trial.key: trial for trial in found.trials if trial.state == "complete"}
    return {}


def export(options: argparse.Namespace) -> None:
    """Write what is finished, of the table's own study and of the search, to one file.

    Of a genome that was trained twice the figures of the last rung are means of both, but its
    seconds are those of the first: the second had no rung below.
    """
    own, candidates = collected(options)
    trials = [trial for _, trial in candidates]
    rungs = range(sum(name.endswith("_seconds") for name in trials[0].metrics))
    # The first candidates were measured before there was a figure of the worst class.
    metrics = [name for name in METRICS if all(f"rung0_{name}" in t.metrics for t in trials)]
    second = second_trainings(options)

    def figures(trial: TrialRecord, rung: int) -> dict[str, float]:
        row = {name: trial.metrics[f"rung{rung}_{name}"] for name in metrics}
        if rung == rungs[-1] and trial.key in second:
            other = second[trial.key].metrics
            row |= {n: (row[n] + other[n]) / 2 for n in metrics if n != "seconds"}
        return row

    table = Table(
        tuple(trial.genome for trial in trials),
        tuple(tuple(figures(trial, rung) for trial in trials) for rung in rungs),
        {
            "data": "movie-review sentences, Hutto and Gilbert (ICWSM 2014); see splits()",
            "settings": own.settings,
            "versions": own.versions,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread a candidate",
            "sources": [source for source, _ in candidates],
            "trainings": [2 if trial.key in second else 1 for trial in trials],
        },
    )
    table.save(options.export)
    if options.export == FILE:
        pack(restore(JOURNAL, STUDY, options.out), STUDY, JOURNAL)
        if second:
            pack(restore(AGAIN_JOURNAL, AGAIN, options.out / AGAIN), AGAIN, AGAIN_JOURNAL)
    genome, value = table.best(FITNESS)
    print(
        f"{len(table)} genomes with {len(rungs)} rungs in {options.export} "
        f"({options.export.stat().st_size / 1000:.0f} kB); the best is {genome.key}, {value:.4f}"
    )


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--candidates", type=int, default=190, help="total of the study")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--out", type=Path, default=Path("runs/tabular"), help="the study's folder")
    parser.add_argument("--search", type=Path, default=Path("runs/first_search"), help="its folder")
    parser.add_argument("--teacher", help="a fine-tuned classifier; default: that of make demo")
    parser.add_argument("--again", action="store_true", help="train the feasible a second time")
    parser.add_argument(
        "--export", type=Path, nargs="?", const=FILE, help="only write the table to this file"
    )
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    if given.export is not None:
        export(given)
    elif given.again:
        again(given)
    else:
        make(given)
