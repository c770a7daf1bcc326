"""Whether robustness that training on substitutions gave lasts with more sentences.

    python benchmarks/encoding_matrix.py teachers      # fine-tunes the teacher
    python benchmarks/more_sentences.py run --seed 0   # goes on where it was
    python benchmarks/more_sentences.py export         # the committed file

The most robust students of first_search.py, which were trained by WordPerturbation on 1,200
sentences, are trained in the same way on 3,000; and on the 1,200 for as many updates as the 3,000
take, which tells more data from longer training. Test sentences are attacked as there.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # one process a core is faster than one process with all

import argparse
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import movie_search
from encoding_tables import percent
from first_search import SUMMARY
from journals import DATA

import rosearch as rs
from rosearch.classifiers import accuracy

OUT = Path("runs/sentences")
FILE = DATA / "sentences.json"
GENOMES = ("random 2", "random 3")
"""Names in first_search.json."""
SETTINGS = {
    "1,200 sentences": (1200, 5),
    "1,200, as many updates as 3,000": (1200, 12),
    "3,000 sentences": (3000, 5),
}
"""Sentences and epochs."""
CHANCE = 0.02
"""Accuracy above the constant classifier's from which a student counts as trained."""


def run(options: argparse.Namespace) -> None:
    """Train and attack the students of one seed; each result is a file."""
    import encoding_matrix

    OUT.mkdir(parents=True, exist_ok=True)
    teacher = rs.Teacher.from_pretrained(encoding_matrix.OUT / "teacher-movies")
    train, _, _ = encoding_matrix.splits("movies")
    _, dev, test = movie_search.splits()
    attacker = rs.RobustnessEvaluator(movie_search.ATTACKS, test, examples=None, progress=False)
    confirmed = json.loads((DATA / SUMMARY).read_text(encoding="utf-8"))["robust"]
    for setting, (sentences, epochs) in SETTINGS.items():
        distiller = movie_search.distiller(
            teacher, train.select(range(sentences)), dev, epochs=epochs
        )
        for name in options.genomes:
            path = OUT / f"{name}-{sentences}-{epochs}-{options.seed}.json".replace(" ", "-")
            if path.exists():
                continue
            genome = rs.Genome.from_dict(confirmed[name]["genome"])
            result = distiller.distill(genome, seed=options.seed)
            found = {
                "genome": name,
                "setting": setting,
                "seed": options.seed,
                "constant": test.majority_share,
                "accuracy": accuracy(result.student, test),
                "dev_accuracy": result.accuracy,
                "training_seconds": result.seconds,
                **encoding_matrix.under_attack(attacker, result.student),
            }
            path.write_text(json.dumps(found, indent=1))
            print(found, flush=True)


def export(_: argparse.Namespace) -> None:
    """Write all results into the committed file."""
    found = [json.loads(path.read_text()) for path in sorted(OUT.glob("*.json"))]
    FILE.write_text(json.dumps(found, indent=1) + "\n")


@cache
def results() -> list[dict[str, Any]]:
    """What is in the committed file."""
    found: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def table() -> list[list[str]]:
    """Students by graph and setting, per cent.

    Trainings that are no better than the constant classifier are counted and left out.
    """
    columns = {"accuracy": "accuracy", "under": "under both", "worst_class": "worst class"}
    columns |= {"pwws": "PWWS", "deepwordbug": "DeepWordBug"}
    rows = [["student", "trained on", "trainings", "constant", *columns.values()]]
    for name in GENOMES:
        for setting in SETTINGS:
            runs = [r for r in results() if (r["genome"], r["setting"]) == (name, setting)]
            if not runs:
                continue
            kept = [one for one in runs if one["accuracy"] > one["constant"] + CHANCE]
            shares = [[one[key] for one in kept] for key in columns]
            counts = [str(len(runs)), str(len(runs) - len(kept))]
            rows.append([name, setting, *counts, *map(percent, shares)])
    constant = f"{100 * results()[0]['constant']:.1f}"
    own = {"worst_class": "0.0"}
    return [*rows, ["constant classifier", *["-"] * 3, *(own.get(c, constant) for c in columns)]]


def main() -> None:
    """One step."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    steps: Mapping[str, Any] = {"run": run, "export": export}
    parser.add_argument("step", choices=steps)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--genomes", nargs="+", choices=GENOMES, default=GENOMES)
    options = parser.parse_args()
    steps[options.step](options)


if __name__ == "__main__":
    main()
