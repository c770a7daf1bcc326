"""How many genomes a second the default space gives, keys included.

Run it on a quiet machine: ``python benchmarks/space.py``. Prints one table.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import rosearch as rs
from rosearch.space import MUTATIONS, Task, genome_cost
from rosearch.student import StudentConfig, student_cost

LIMITED = {"compression": (4.6, 6.5), "teacher": Task(reference_parameters=22_700_000)}


def rate(make: Callable[[int], object], count: int) -> float:
    """Calls a second of processor time."""
    begun = time.process_time()
    for seed in range(count):
        make(seed)
    return count / (time.process_time() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genomes", type=int, default=2000, help="per row")
    count = parser.parse_args().genomes
    begun = time.process_time()
    spaces = {"default": rs.SearchSpace()}
    begun = time.process_time()
    spaces["compression 4.6 to 6.5"] = rs.SearchSpace(**LIMITED)
    limits = {**LIMITED, "flops": (None, 10e6)}
    spaces["and at most 10 MFLOPs"] = rs.SearchSpace(**limits)
    print(f"two spaces with limits are made in {time.process_time() - begun:.1f} s")
    print(f"{'space':<24}{'move':<28}{'genomes/s':>10}")
    for name, space in spaces.items():
        parents = [space.sample(seed=seed) for seed in range(count)]
        print(f"{name:<24}{'mean nodes':<28}{sum(len(p.nodes) for p in parents) / count:>10.1f}")
        rows: dict[str, Callable[[int], object]] = {
            "sample": lambda seed, space=space: space.sample(seed=seed).key,
            "key alone": lambda seed, p=parents: rs.Genome.from_dict(p[seed].to_dict()).key,
            "mutate": lambda seed, space=space, p=parents: space.mutate(p[seed], seed=seed).key,
            "crossover": lambda seed, space=space, p=parents: (
                space.crossover(p[seed], p[seed - 1], seed=seed).key
            ),
        }
        for kind in MUTATIONS:
            big = [p for p in parents if len(p.nodes) >= 4]
            rows[f"  {kind}"] = lambda seed, space=space, kind=kind, p=big: try_mutate(
                space, p[seed % len(p)], seed, kind
            )
        for move, make in rows.items():
            print(f"{name:<24}{move:<28}{rate(make, count):>10,.0f}")
        costs: dict[str, tuple[Callable[[int], object], int]] = {
            # What a search with limits asks of every genome that it draws.
            "cost of its parts": (lambda seed, p=parents: genome_cost(p[seed]), count),
            "cost of its student": (
                lambda seed, p=parents: student_cost(StudentConfig(p[seed])),
                max(1, count // 20),
            ),
        }
        for what, (make, genomes) in costs.items():
            print(f"{name:<24}{what:<28}{rate(make, genomes):>10,.0f}")


def try_mutate(space: rs.SearchSpace, parent: rs.Genome, seed: int, kind: str) -> object:
    """A key, or nothing where the parent has no neighbour of that kind."""
    try:
        return space.mutate(parent, seed=seed, kind=kind).key
    except rs.errors.SpaceError:
        return None


if __name__ == "__main__":
    main()
