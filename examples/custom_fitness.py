"""A custom fitness: two terms, one of them over a metric that the pipeline does not measure.

    python examples/custom_fitness.py
    python examples/custom_fitness.py --candidates 40 --examples 200

The first term is the number of queries that an attack needs, a metric of every evaluation. The
second is the clean accuracy of the worst class (``worst_class`` is that under attack): a subclass
of Pipeline measures it, and as a constraint it excludes constant classifiers, which no attack
breaks. Takes about five minutes on two cores. Run it again to continue.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import searching  # beside this file

import rosearch as rs
from rosearch.classifiers import accuracy


@rs.fitness_terms.register("effort")
class Effort(rs.FitnessTerm):
    """Queries that an attack needs for an example; a weighted sum gets the decimal logarithm."""

    metric = "mean_queries"
    direction = "maximize"

    def scaled(self, value: float) -> float:
        return math.log10(1 + value)  # 0 where no example was attacked


@rs.fitness_terms.register("worst_class_accuracy")
class WorstClassAccuracy(rs.FitnessTerm):
    """Accuracy on the class that is recognised least, a share from 0 to 1."""

    metric = "worst_class_accuracy"
    direction = "maximize"


class ClassAware(rs.Pipeline):
    """A pipeline that also gives ``worst_class_accuracy``, on the distiller's dev examples."""

    def __call__(self, genome: rs.Genome, **arguments: Any) -> dict[str, float]:
        metrics = super().__call__(genome, **arguments)
        # From its folder; without students= it would be trained a second time.
        student = self.load(genome, **arguments)
        dev = self.distiller.dev
        parts = [np.flatnonzero(dev.labels == label) for label in range(len(dev.classes))]
        worst = min(accuracy(student, dev.select(part)) for part in parts if len(part))
        return metrics | {"worst_class_accuracy": worst}


def main(line: Sequence[str] | None = None) -> None:
    """Search with the arguments of the command line."""
    options = searching.parser(__doc__ or "", out="runs/custom-fitness").parse_args(line)
    teacher, train, dev = searching.material(options)
    pipeline = ClassAware(
        searching.distiller(options, teacher, train, dev),
        rs.RobustnessEvaluator(options.attacks, dev, examples=options.examples),
        students=options.out / "students",
    )
    fitness = rs.Fitness(
        {"robustness": 1.0, "effort": 0.1},  # ten times the queries are worth 0.1 of robustness
        constraints={"worst_class_accuracy": (0.6, None), "compression": (4.6, None)},
    )
    evolver = rs.Evolver(
        searching.space(options, compression=(4.6, None), teacher=teacher),
        pipeline,
        fitness,
        storage=searching.storage(options),
        study="custom-fitness",
        population=8,
        seed=options.seed,
    )
    search = evolver.run(candidates=options.candidates)

    print("    accuracy  worst class  under attack  queries  fitness")
    for trial in search.trials:
        if trial.score is None:
            print(f"{trial.number:3d} failed: {trial.failure}")
            continue
        term = trial.score.terms
        print(
            f"{trial.number:3d} {trial.metrics['accuracy']:8.1%} "
            f"{term['worst_class_accuracy']:12.1%} "
            f"{term['robustness']:13.1%} {term['effort']:8.1f} {trial.score.values[0]:8.3f}"
            f"{'' if trial.score.feasible else '  outside the limits'}"
        )
    print(f"\nbest: candidate {search.best.number}\n{search.best.genome}")


if __name__ == "__main__":
    main()
