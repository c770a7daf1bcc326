"""How well the surrogate's model ranks genomes that it has not seen.

From the table of benchmarks/tabular, some random samples are given to the model as
finished
trials: all with both rungs, or, with --stopped, two thirds of them with the lower one alone, as
after successive halving. It predicts the fitness of all other feasible genomes. Prints Spearman's
rank correlation with the measured fitness, means over draws: among samples and their mutants, and
among genomes that a search had chosen, which the model must extrapolate to. Both apart, because the
chosen ones are larger and better, so that over all of them counting nodes would rank well.

    python benchmarks/prediction.py [--stopped]
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse

import numpy as np
import numpy.typing as npt
from movie_search import FITNESS
from scipy.stats import spearmanr
from tabular import Table, load

import rosearch as rs
from rosearch.evolve import TrialRecord
from rosearch.evolve.strategies.surrogate.prediction import Predictor
from rosearch.space.features import features

LIMITS = {"accuracy": (0.6, None)}
FITNESSES = {
    "that of the first search": FITNESS,
    "robustness twice": rs.Fitness({"robustness": 2.0, "accuracy": 1.0}, constraints=LIMITS),
    "accuracy twice": rs.Fitness(
        {"robustness": 1.0, "accuracy": 2.0, "compression": 0.1}, constraints=LIMITS
    ),
    "robustness, accuracy from 65 %": rs.Fitness(
        {"robustness": 1.0}, constraints={"accuracy": (0.65, None)}
    ),
}
TRIALS = (20, 40, 80)


def main() -> None:
    """Measure and print."""
    options = arguments()
    table = load() if options.table is None else Table.read(options.table)
    print("fitness; then for each number of trials: samples and mutants, searched")
    for name, fitness in FITNESSES.items():
        found = [
            ranked(table, fitness, trials, options.draws, stopped=options.stopped)
            for trials in TRIALS
        ]
        shown = "  ".join(f"{k}: {a:.2f} {b:.2f}" for k, (a, b) in zip(TRIALS, found, strict=True))
        print(f"{name:32} {shown}", flush=True)


def ranked(
    table: Table, fitness: rs.Fitness, trials: int, draws: int, *, stopped: bool = False
) -> tuple[float, float]:
    """Mean rank correlations after some trials: samples and mutants, genomes of a search."""
    searched = np.array([source == "searched" for source in table.made["sources"]])
    scores = [[fitness.score(row) for row in rung] for rung in table.rungs]
    feasible = np.array([score.feasible for score in scores[-1]])
    measured = np.array([score.values[0] for score in scores[-1]])
    rank = np.argsort(rs.fitness.rank_order(scores[0]))  # at the lower rung

    def record(number: int, place: int, rungs: int) -> TrialRecord:
        genome = table.genomes[place]
        rows = tuple(rung[place] for rung in table.rungs[:rungs])
        of = tuple(rung[place] for rung in scores[:rungs])
        state = "complete" if rungs == len(table.rungs) else "stopped"
        return TrialRecord(
            number, genome, genome.key, 0, state, rows[-1], of[-1], None, None,
            rung=len(of) - 1, rungs=rows, scores=of,
        )  # fmt: skip

    def finished(chosen: npt.NDArray[np.int64]) -> list[TrialRecord]:
        order = sorted(chosen, key=lambda place: rank[place])
        whole = set(order if not stopped else order[: len(order) // 3])
        return [
            record(number, int(place), len(table.rungs) if place in whole else 1)
            for number, place in enumerate(chosen)
        ]

    def correlation(expected: npt.NDArray[np.float64], of: npt.NDArray[np.int64]) -> float:
        return float(spearmanr(expected, measured[of]).statistic)

    found = []
    for draw in range(draws):
        chosen = np.random.default_rng(draw).permutation(table.samples)[:trials]
        known = finished(chosen)
        feasible_rest = feasible.copy()
        feasible_rest[chosen] = False
        row = []
        for group in (~searched, searched):
            of = np.flatnonzero(feasible_rest & group)
            mean = Predictor().predict(known, [features(table.genomes[i]) for i in of]).mean
            row.append(correlation(mean[:, 0], of))
        found.append(row)
    first, second = np.mean(found, axis=0)
    return float(first), float(second)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--table", help="file of a table; default: that of benchmarks/tabular")
    parser.add_argument("--draws", type=int, default=20, help="choices of trials")
    parser.add_argument("--stopped", action="store_true", help="two thirds after the lower rung")
    return parser.parse_args()


if __name__ == "__main__":
    main()
