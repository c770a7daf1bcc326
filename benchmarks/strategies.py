"""Strategies on the tabular benchmark: what each needs until it is near the best there is.

Every registered strategy searches the table once a seed, in full and with successive halving, all
with equal numbers of candidates. Prints the evaluations and the simulated seconds of training and
attack until a run is within one per cent of the best fitness of the table, against random
search and against plain regularised evolution. Random search draws from the table's random samples
only, so the budget is four fifths of their number, or it would draw them all; and how many genomes
are near enough to count, and how many of them are samples, is printed, too:

    python benchmarks/strategies.py                      # 100 seeds, two processes
    python benchmarks/strategies.py --strategies random surrogate --seeds 20
    python benchmarks/strategies.py --table table.json.gz --plot strategies.png
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import time
from pathlib import Path

from movie_search import FITNESS
from tabular import Table, TabularEvaluation, TabularSpace, load

import rosearch as rs
from rosearch.evolve import Strategy, strategies
from rosearch.evolve.successive_halving import SuccessiveHalving
from rosearch.fitness import Score

BASELINES = ("random", "regularized_evolution")
HALVING = "halving"


def main() -> None:
    """Compare and print."""
    options = arguments()
    table = load() if options.table is None else Table.read(options.table)
    best = table.best(FITNESS)[1]
    given = dict.fromkeys((*BASELINES, *(options.strategies or strategies.names())))
    entrants: dict[str, Strategy] = {name: strategies.get(name)() for name in given}
    entrants |= {f"{name} + {HALVING}": entrants[name] for name in given}
    start = time.perf_counter()
    found = rs.compare(
        entrants,
        TabularEvaluation(table),
        TabularSpace(table),
        FITNESS,
        candidates=options.candidates or len(table.samples) * 4 // 5,
        seeds=options.seeds,
        fidelity={name: SuccessiveHalving() for name in entrants if name.endswith(HALVING)},
        best=best,
        workers=options.workers or None,
    )
    took = time.perf_counter() - start
    target = found.target(options.share)
    near = [i for i, row in enumerate(table.rungs[-1]) if is_near(FITNESS.score(row), target)]
    print(f"{len(near)} genomes are there, {len(set(near) & set(table.samples))} of them samples")
    for baseline in BASELINES:
        print(found.table(share=options.share, baseline=baseline), end="\n\n")
    print(f"{len(entrants)} x {options.seeds} searches of {len(table)} genomes in {took:.0f} s")
    if options.plot:
        found.plot(options.plot, by="seconds")


def is_near(score: Score, target: float) -> bool:
    """Whether a genome counts as found."""
    return score.feasible and score.values[0] >= target


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--table", type=Path, help="file of a table; default: that of benchmarks/tabular"
    )
    parser.add_argument("--strategies", nargs="+", help="registered names; default: all")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--candidates", type=int, help="of a search; default: see above")
    parser.add_argument("--share", type=float, default=0.01, help="how near counts as there")
    parser.add_argument("--workers", type=int, default=2, help="processes; 0: this one")
    parser.add_argument("--plot", type=Path, help="picture of the curves over seconds")
    return parser.parse_args()


if __name__ == "__main__":
    main()
