"""Random genomes of a space with bounds: what bound, input and operators do to robustness.

    python benchmarks/encoding_matrix.py teachers      # fine-tunes the teacher
    python benchmarks/bounded_genomes.py run           # goes on where it was
    python benchmarks/bounded_genomes.py export        # the committed study

As many random samples of the default space for each bound, at 4.6 to 6.5 times compression, all
behind the same spelling encoding. Token scores are fitted once, against their exact worst case;
each graph is trained plainly on what they leave. Accuracy is on all dev sentences, attacks are on
the first of them.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # one process a core is faster than one process with all

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import encoding_matrix
from encoding_matrix import MAIN, SPELLING, splits
from journals import DATA, pack, restore

import rosearch as rs

STUDY = "bounded"
JOURNAL = DATA / "bounded.journal.gz"
OUT = Path("runs/bounded")
BOUNDS = (0.1, 0.3, 1.0, 3.0, None)
FLOPS = 10e6
"""Most for 32 tokens, so that a student trains in a minute."""
TRAINING: dict[str, Any] = {"epochs": 3, "learning_rate": 1e-3, "dropout": 0.1}
EXAMPLES = 200
FITNESS = rs.Fitness({"robustness": 1.0, "accuracy": 1.0})


def space(teacher: rs.Teacher, bounds: tuple[float | None, ...] = BOUNDS) -> rs.SearchSpace:
    """The default space at 4.6 to 6.5 times compression, with bounds and spelling."""
    return rs.SearchSpace(
        teacher=teacher,
        compression=(4.6, 6.5),
        flops=(None, FLOPS),
        encodings={SPELLING.name: {name: [value] for name, value in SPELLING.parameters.items()}},
        bounds=bounds,
    )


def genomes(teacher: rs.Teacher, count: int) -> list[rs.Genome]:
    """Random samples, of all bounds in turn."""
    spaces = [space(teacher, (bound,)) for bound in BOUNDS]
    drawn = [spaces[seed % len(spaces)].sample(seed=seed) for seed in range(count)]
    return [replace(genome, encodings=(SPELLING,)) for genome in drawn]


def run(options: argparse.Namespace) -> None:
    """Train and attack until there are enough."""
    teacher = rs.Teacher.from_pretrained(encoding_matrix.OUT / "teacher-movies")
    _, dev, _ = splits("movies")
    row = encoding_matrix.Row((SPELLING,), bound=1.0)
    distiller = encoding_matrix.distiller("movies", teacher, row, **TRAINING)
    attacker = rs.RobustnessEvaluator(MAIN, dev, examples=EXAMPLES, progress=False)
    evolver = rs.Evolver(
        space(teacher),
        rs.Pipeline(distiller, attacker),
        FITNESS,
        storage=restore(JOURNAL, STUDY, OUT),
        study=STUDY,
        strategy="random",  # it is not asked
        initial_genomes=genomes(teacher, options.candidates),
    )
    print(evolver.run(options.candidates))


def export(_: argparse.Namespace) -> None:
    """Write the committed study."""
    pack(restore(JOURNAL, STUDY, OUT), STUDY, JOURNAL)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    steps = parser.add_subparsers(required=True)
    step = steps.add_parser("run", help="train and attack genomes")
    step.add_argument("--candidates", type=int, default=120, help="total of the study")
    step.set_defaults(do=run)
    step = steps.add_parser("export", help="write the committed file")
    step.set_defaults(do=export)
    return parser.parse_args()


if __name__ == "__main__":
    options = arguments()
    options.do(options)
