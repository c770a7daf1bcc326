"""What the bookkeeping of a search costs: rounds of ask and tell, and a ledger of many trials.

    python benchmarks/ledger.py [--rounds 1000] [--trials 5000] [--url sqlite:///FILE]

The evaluation returns constants at once, so what is left is the search itself. The first line is a
study in memory from its start; the second a study in a database that has the trials already, filled
through Optuna, of which only the rounds on top of them are measured. Their SQL statements, and the
commits among them that wrote something and so wait for the disk, are counted, too. The last lines
are rounds in memory in which the default strategy asks its model, for which OMP_NUM_THREADS=1 is
best.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from typing import Any

import optuna
from sqlalchemy import event
from sqlalchemy.engine import Engine

import rosearch as rs
from rosearch.evolve import SurrogateEvolution
from rosearch.evolve.study.ledger import Ledger
from rosearch.evolve.study.trial_parameters import distributions, parameters
from rosearch.evolve.study.trials import Candidate, comparable
from rosearch.owners import Owner
from rosearch.seeding import child_seed
from rosearch.space.descriptors import descriptors

ROUNDS = 50
"""Of which those on a database, and with a model, are measured."""
PAST = 150
"""Trials that the model knows before."""
FITNESS = rs.Fitness({"robustness": 1.0, "accuracy": 1.0})
STRATEGY = "regularized_evolution"
"""One that takes no time."""


def evaluate(genome: rs.Genome, *, seed: int) -> dict[str, float]:
    accuracy = 0.7 + (seed % 1009) / 1009 * 0.2
    return {"accuracy": accuracy, "accuracy_under_attack": genome.width / 1000}


def rounds(evolver: rs.Evolver, count: int) -> tuple[float, float]:
    """Seconds for a round of ask and tell: by the clock, and of the processor."""
    evolver.tell(*_told(evolver))  # imports and first calls
    start, processor = time.perf_counter(), time.process_time()
    for _ in range(count):
        evolver.tell(*_told(evolver))
    return (time.perf_counter() - start) / count, (time.process_time() - processor) / count


def _told(evolver: rs.Evolver) -> tuple[Candidate, dict[str, float]]:
    candidate = evolver.ask()
    return candidate, evaluate(candidate.genome, seed=candidate.seed)


class Counts:
    """SQL statements of this process, and commits of what they wrote."""

    def __init__(self) -> None:
        self.statements = self.commits = 0
        event.listen(Engine, "before_cursor_execute", self._executed)
        event.listen(Engine, "commit", self._committed)

    def _executed(self, connection: Any, _: object, statement: str, *others: object) -> None:
        self.statements += 1
        if statement.split(maxsplit=1)[0] in ("INSERT", "UPDATE", "DELETE"):
            connection.info["written"] = True

    def _committed(self, connection: Any) -> None:
        self.commits += connection.info.pop("written", False)


def fill(evolver: rs.Evolver, url: str, count: int) -> None:
    """Put ``count`` finished trials into the study, as a search would have left them."""
    study = optuna.load_study(study_name="rosearch", storage=url)
    ledger: Ledger = evolver._ledger
    keys: set[str] = set()
    trials: list[optuna.trial.FrozenTrial] = []
    number = 0
    while len(trials) < count:
        genome = evolver.space.sample(seed=number)
        number += 1
        if genome.key in keys:
            continue
        keys.add(genome.key)
        seed = child_seed(0, "candidate", genome.key)
        metrics = evaluate(genome, seed=seed)
        score = FITNESS.score(metrics)
        if number <= 50:  # only their volume matters
            described = descriptors(genome)
            ranges = distributions(ledger.settings["space"])
            params = parameters(genome, described, ranges)
        attributes = {
            "genome": genome.to_json(),
            "key": genome.key,
            "seed": seed,
            "owner": Owner.this_process().leased(0.0),
            "descriptors": described,
            "versions": ledger.versions,
            "seconds": 1.0,
            "metrics": metrics,
            "score": score.to_dict(),
        }
        trials.append(
            optuna.trial.create_trial(
                values=list(score.values),
                params=params,
                distributions=ranges,
                user_attrs=attributes,
            )
        )
    study.add_trials(trials)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--url", help="of an empty database; default: SQLite in a temporary folder")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space = rs.SearchSpace()
    print(f"load at the start {os.getloadavg()[0]:.1f}")
    in_memory = rs.Evolver(space, evaluate, FITNESS, strategy=STRATEGY)
    seconds, processor = rounds(in_memory, arguments.rounds)
    print(
        f"{'in memory, from none':28} {1 / seconds:8.0f} rounds a second, "
        f"{1 / processor:.0f} a second of the processor"
    )
    with tempfile.TemporaryDirectory() as folder:
        url = arguments.url or f"sqlite:///{folder}/search.db"
        evolver = rs.Evolver(space, evaluate, FITNESS, storage=url, strategy=STRATEGY)
        fill(evolver, url, arguments.trials)
        start = time.perf_counter()
        evolver = rs.Evolver(space, evaluate, FITNESS, storage=url, strategy=STRATEGY)
        evolver.tell(*_told(evolver))
        first = time.perf_counter() - start
        counts = Counts()
        seconds, processor = rounds(evolver, ROUNDS)
    name = f"{url.split(':')[0]}, on {arguments.trials} trials"
    print(
        f"{name:28} {seconds * 1e3:8.1f} ms a round, {processor * 1e3:.1f} of the processor; "
        f"{first:.1f} s to open it"
    )
    print(f"{'':28} {seconds / 10:8.2%} of a candidate of 10 seconds")
    print(
        f"{'':28} {counts.statements / (ROUNDS + 1):8.1f} statements and "
        f"{counts.commits / (ROUNDS + 1):.1f} commits a round"
    )
    for pool in (200, 100):
        search = rs.Evolver(space, evaluate, FITNESS, strategy=SurrogateEvolution(pool=pool))
        rounds(search, PAST)
        seconds, processor = rounds(search, ROUNDS)
        best = comparable(search.result.trials)[:10]
        nodes = sum(len(trial.genome.nodes) for trial in best) / len(best)
        print(
            f"{f'a model, pool of {pool}':28} {seconds * 1e3:8.0f} ms a round, "
            f"{processor * 1e3:.0f} of the processor, on {PAST} trials (the best have "
            f"{nodes:.0f} nodes)"
        )


if __name__ == "__main__":
    main()
