"""A search on movie reviews, beside random search and hand-designed students, attacked afresh.

Three steps, each kept on disk and taken up again by the same command, and what they need:

    python benchmarks/make_tabular.py           # two of three candidates are random
    python benchmarks/first_search.py search    # 150 candidates: model, halving
    python benchmarks/first_search.py confirm   # the best three of each, three trainings each
    python benchmarks/first_search.py export    # the files that reproduce_results.py reads

``confirm`` trains on the whole training split, and attacks sentences that no search has seen by the
two attacks that were searched for and by two that were not. It needs word vectors: without
TextAttack's, run ``python -m rosearch.attack.counterfitting MODEL`` first.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # one process a core is faster than one process with all

import argparse
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import material
import movie_search
from journals import DATA, pack
from make_tabular import is_random
from materials import movie_reviews
from movie_search import ATTACKS, FITNESS

import rosearch as rs
from rosearch.evolve import SuccessiveHalving

UNSEEN = ("textfooler", "textbugger")
"""Attacks that the search never saw."""
STUDY = "search"
JOURNAL = "first_search.journal.gz"
SUMMARY = "first_search.json"


class Afresh:
    """Distils a genome and attacks its student by several groups of attacks, each counted apart.

    Args:
        distiller: Trains it.
        attackers: By the name of the group. A text stands if no attack of its group changes it.
    """

    def __init__(
        self, distiller: rs.Distiller, attackers: Mapping[str, rs.RobustnessEvaluator]
    ) -> None:
        self.distiller = distiller
        self.attackers = dict(attackers)

    @property
    def settings(self) -> dict[str, Any]:
        attackers = {name: dict(one.settings) for name, one in self.attackers.items()}
        return {"distiller": self.distiller.settings, "attackers": attackers}

    def __call__(self, genome: rs.Genome, *, seed: int) -> dict[str, float]:
        result = self.distiller.distill(genome, seed=seed)
        cost = result.student.num_parameters()
        found = {
            "dev_accuracy": result.accuracy,
            "compression": self.distiller.teacher.parameters / cost,
        }
        return found | attacked(self.attackers, result.student)


def attacked(attackers: Mapping[str, rs.RobustnessEvaluator], *victim: Any) -> dict[str, float]:
    """Accuracy, accuracy under each attack, and under those of each group together."""
    found: dict[str, float] = {}
    for group, attacker in attackers.items():
        report = attacker.evaluate(*victim)
        found["accuracy"] = report.accuracy
        found[f"under_{group}"] = report.accuracy_under_attack_bounds.low
        for name, one in report.attacks.items():
            found[f"under_{name}"] = one.accuracy_under_attack_bounds.low
    return found


def attackers(test: rs.TextDataset) -> dict[str, rs.RobustnessEvaluator]:
    """The attacks of the search, and others, on all of ``test``."""
    return {
        name: rs.RobustnessEvaluator(group, test, examples=None, progress=False)
        for name, group in {"searched": ATTACKS, "unseen": UNSEEN}.items()
    }


def random_pool(search: rs.SearchResult, count: int) -> rs.SearchResult:
    """The first random samples among the candidates of make_tabular.py, two of three."""
    samples = [t for t in search.trials if is_random(t.number)][:count]
    return rs.SearchResult.from_trials("random", samples, FITNESS, settings=search.settings)


def hand_designed(space: rs.SearchSpace) -> dict[str, rs.Genome]:
    """The templates that the space holds, by their names."""
    operators = {name: _operators(make()) for name, make in rs.templates.ALL.items()}
    return {
        next(name for name, own in operators.items() if own == _operators(genome)): genome
        for genome in rs.templates.fitting(space)
    }


def _operators(genome: rs.Genome) -> list[str]:
    return [node.operator for node in genome.nodes]


def best(search: rs.SearchResult, count: int) -> list[rs.Genome]:
    """The best candidates that were evaluated in full."""
    whole = [t for t in search.trials if t.state == "complete" and t.score is not None]
    order = rs.fitness.rank_order([t.score for t in whole if t.score is not None])
    return [whole[place].genome for place in order[:count]]


def search(options: argparse.Namespace, teacher: rs.Teacher) -> None:
    """Go on until the study has its candidates."""
    train, dev, _ = movie_search.splits()
    teacher.logits(train)  # once, for all workers
    evolver = rs.Evolver(
        movie_search.space(teacher),
        movie_search.pipeline(teacher, train, dev),
        FITNESS,
        storage=storage(options.out),
        study=STUDY,
        strategy="surrogate",
        fidelity=SuccessiveHalving(),
        seed=1,  # another than the table's, whose first samples it would repeat
    )
    print(evolver.run(options.candidates, executor=options.workers))


def confirm(options: argparse.Namespace, teacher: rs.Teacher) -> None:
    """Train the best again, with robust training and plainly, and attack them afresh."""
    found = rs.load_search(storage(options.out), STUDY)
    pool = random_pool(rs.load_search(storage(options.table), "tabular"), options.candidates)
    _, dev, test = movie_search.splits()
    train = movie_reviews().split(0.7, 0.15, 0.15, seed=0)[0]
    robust = movie_search.distiller(teacher, train, dev)
    plain = rs.Distiller(teacher, train, dev, epochs=5, batch_size=16, progress=False)
    names = {f"random {i + 1}": genome for i, genome in enumerate(best(pool, 3))}
    by_hand = hand_designed(movie_search.space(teacher))
    top = {f"search {i + 1}": genome for i, genome in enumerate(best(found, 3))}
    jobs = {
        "robust": (robust, {**top, **names, **by_hand}),
        "plain": (plain, {"search 1": top["search 1"], **by_hand}),
    }
    summary: dict[str, Any] = {}
    for name, (distiller, genomes) in jobs.items():
        confirmation = rs.confirm(
            found,
            Afresh(distiller, attackers(test)),
            top=0,
            seeds=3,
            genomes=genomes,
            storage=options.out / f"confirmed-{name}.json",
            executor=options.workers,
        )
        print(name, confirmation)
        summary[name] = {
            c.name: {
                "genome": c.genome.to_dict(),
                "runs": [{"seed": run.seed, **run.metrics} for run in c.runs if not run.failure],
            }
            for c in confirmation.candidates
        }
    (options.out / SUMMARY).write_text(json.dumps(summary, indent=1), encoding="utf-8")


def export(options: argparse.Namespace, _: rs.Teacher) -> None:
    """Write the study and what was confirmed as small files."""
    pack(storage(options.out), STUDY, DATA / JOURNAL)
    if (options.out / SUMMARY).exists():
        shutil.copy(options.out / SUMMARY, DATA / SUMMARY)


def storage(folder: Path) -> str:
    """URL of the study in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder.resolve()}/study.db"


def main() -> None:
    """One step."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    steps: dict[str, Callable[[argparse.Namespace, rs.Teacher], None]] = {
        "search": search,
        "confirm": confirm,
        "export": export,
    }
    parser.add_argument("step", choices=steps)
    parser.add_argument("--candidates", type=int, default=150, help="of the search, and random")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--out", type=Path, default=Path("runs/first_search"))
    parser.add_argument("--table", type=Path, default=Path("runs/tabular"))
    parser.add_argument("--teacher", help="a fine-tuned classifier; default: that of make demo")
    options = parser.parse_args()
    teacher = rs.Teacher.from_pretrained(options.teacher or material.cached_teacher())
    steps[options.step](options, teacher)


if __name__ == "__main__":
    main()
