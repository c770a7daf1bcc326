"""Makes the table of rosearch.evolve.tabular: genomes, distilled and attacked at two fidelities.

Two of three genomes are random samples of the default space between 4.6 and 6.5 times smaller than
the teacher, within the FLOPs of movie_search.py; the third is a mutant of one of the best so far,
so that good regions are dense. Every step is kept in a study on disk: kill it whenever you like,
the same command goes on. Without a study it goes on from the one that is committed.

    python benchmarks/make_tabular.py --candidates 400          # after make demo, one core each
    python benchmarks/make_tabular.py --export                  # at any time: the package's file
    python benchmarks/make_tabular.py --export elsewhere.json.gz
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # one process a core is faster than one process with all

import argparse
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import material
import numpy as np
import optuna
from journals import DATA, pack, packed
from movie_search import FITNESS, pipeline, space, splits

import rosearch as rs
from rosearch.evolve import Strategy, TrialRecord
from rosearch.evolve.tabular import Table
from rosearch.fitness import rank_order
from rosearch.space import Embedding

STUDY = "tabular"
JOURNAL = DATA / "tabular.journal.gz"
METRICS = (
    "accuracy", "accuracy_under_attack", "attack_success_rate", "mean_queries",
    "parameters", "compression", "flops", "latency", "seconds",
)  # fmt: skip
ELITE = 20
"""How many of the best so far have mutants."""
WARMING = rs.Genome(
    width=64, embedding_width=128, embedding=Embedding("synonym_code_embedding"), pooling="mean"
)
"""Reads all that inputs can ask for."""
FILE = Path(__file__).parents[1] / "rosearch" / "evolve" / "tabular" / "movie_reviews.json.gz"


class EveryRung:
    """An evaluation that goes through all rungs of another and returns the metrics of each.

    Those of the last rung have their names, those of rung ``k`` also the name ``rungk_NAME``.
    ``seconds`` are those of the processor, which depend less on what else a machine does; what
    all candidates of a process share, such as replacements of words, is made before they count.
    """

    def __init__(self, pipeline: rs.Pipeline) -> None:
        self.pipeline = pipeline
        self._warm = False

    @property
    def settings(self) -> Mapping[str, Any]:
        return {**self.pipeline.settings, "seconds": "processor"}

    def __call__(self, genome: rs.Genome, *, seed: int) -> dict[str, float]:
        if not self._warm:
            self.pipeline(WARMING, seed=0, rung=0)
            self.pipeline.finish(WARMING, seed=0)
            self._warm = True
        found: dict[str, float] = {}
        metrics: dict[str, float] = {}
        start = time.process_time()
        try:
            for rung in range(self.pipeline.rungs):
                metrics = self.pipeline(genome, seed=seed, rung=rung)
                metrics["seconds"] = time.process_time() - start
                found |= {f"rung{rung}_{name}": metrics[name] for name in METRICS}
        finally:
            self.pipeline.finish(genome, seed=seed)
        return {**metrics, **found}


def is_random(number: int) -> bool:
    """Whether a candidate of this number is a sample of the space."""
    return number % 3 != 2


class TwoThirdsRandom(Strategy):
    """Two samples, then a mutant of one of the best so far."""

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


def make(options: argparse.Namespace) -> None:
    """Go on until the study has its candidates."""
    options.out.mkdir(parents=True, exist_ok=True)
    if JOURNAL.exists() and not (options.out / "study.db").exists():
        with packed(JOURNAL) as committed:
            optuna.copy_study(
                from_study_name=STUDY, from_storage=committed, to_storage=storage(options)
            )
    teacher = rs.Teacher.from_pretrained(options.teacher or material.cached_teacher())
    train, dev, _ = splits()
    teacher.logits(train)  # computed here once, so that no candidate's seconds include it
    evolver = rs.Evolver(
        space(teacher),
        EveryRung(pipeline(teacher, train, dev)),
        FITNESS,
        storage=storage(options),
        study=STUDY,
        strategy=TwoThirdsRandom(),
    )
    executor = options.workers if options.workers > 1 else None
    print(evolver.run(options.candidates, executor=executor))


def export(options: argparse.Namespace) -> None:
    """Write what is finished to one file."""
    search = rs.load_search(storage(options), STUDY)
    trials = [t for t in search.trials if t.state == "complete"]
    if not trials:
        sys.exit(f"The study in {options.out} has no finished candidate yet.")
    rungs = range(sum(name.endswith("_seconds") for name in trials[0].metrics))
    table = Table(
        tuple(trial.genome for trial in trials),
        tuple(
            tuple({name: t.metrics[f"rung{rung}_{name}"] for name in METRICS} for t in trials)
            for rung in rungs
        ),
        {
            "data": "movie-review sentences, Hutto and Gilbert (ICWSM 2014); see splits()",
            "settings": search.settings,
            "versions": search.versions,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, one thread a candidate",
            "random": [i for i, trial in enumerate(trials) if is_random(trial.number)],
            "failed": sum(t.state == "failed" for t in search.trials),
        },
    )
    table.save(options.export)
    if options.export == FILE:
        pack(storage(options), STUDY, JOURNAL)
    genome, value = table.best(FITNESS)
    print(
        f"{len(table)} genomes with {len(rungs)} rungs in {options.export} "
        f"({options.export.stat().st_size / 1000:.0f} kB); the best is {genome.key}, {value:.4f}"
    )


def storage(options: argparse.Namespace) -> str:
    """URL of the study."""
    return f"sqlite:///{options.out.resolve()}/study.db"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--candidates", type=int, default=400, help="total of the study")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--out", type=Path, default=Path("runs/tabular"), help="the study's folder")
    parser.add_argument("--teacher", help="a fine-tuned classifier; default: that of make demo")
    parser.add_argument(
        "--export", type=Path, nargs="?", const=FILE, help="only write the table to this file"
    )
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    if given.export is not None:
        export(given)
    else:
        make(given)
