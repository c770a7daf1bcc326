"""Two candidates at a time against one after the other, on each executor: one table.

    python benchmarks/executors.py [--candidates 16] [--seconds 1.0]

The evaluation multiplies matrices in PyTorch on one thread for about ``--seconds`` of processor
time; each worker has one core. The start of the workers is not measured: time runs from the second
candidate that is recorded. Needs two free cores; uses Dask and Ray where they are installed.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is loaded, here and in workers

import torch

import rosearch as rs


class Busy:
    """A fixed amount of work, whatever the genome."""

    def __init__(self, products: int) -> None:
        self.products = products

    def __call__(self, genome: rs.Genome, *, seed: int) -> dict[str, float]:
        matrix = torch.full((256, 256), 1 / 256)
        for _ in range(self.products):
            matrix = matrix @ matrix
        return {"accuracy": float(matrix[0, 0]), "accuracy_under_attack": seed % 1009 / 1009}


def products_in(seconds: float) -> int:
    """How many products take about ``seconds`` of processor time."""
    genome = rs.SearchSpace().sample(seed=0)
    Busy(100)(genome, seed=0)
    start = time.process_time()
    Busy(1000)(genome, seed=0)
    return int(1000 * seconds / (time.process_time() - start))


@contextmanager
def dask() -> Iterator[Executor]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client.get_executor()


@contextmanager
def ray() -> Iterator[Executor]:
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield rs.RayExecutor()
    ray.shutdown()


def timed(busy: Busy, candidates: int, executor: Any, limit: float | None = None) -> float:
    """Seconds a candidate, from the second that is recorded to the last."""
    ends: list[float] = []

    class Fitness(rs.Fitness):
        def score(self, metrics: Any) -> Any:
            ends.append(time.perf_counter())
            return super().score(metrics)

    fitness = Fitness({"robustness": 1.0, "accuracy": 1.0})
    # Not the default strategy, which takes time of its own.
    evolver = rs.Evolver(
        rs.SearchSpace(), busy, fitness, strategy="regularized_evolution", overlap=2
    )
    evolver.run(candidates + 2, executor=executor, time_limit=limit, progress=False)
    return (ends[-1] - ends[1]) / candidates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=1.0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    busy = Busy(products_in(arguments.seconds))
    count = arguments.candidates
    load = os.getloadavg()[0]
    serial = timed(busy, count, None)
    print(f"{os.cpu_count()} cores, load at the start {load:.1f}")
    print(f"{'executor':28} {'s a candidate':>14} {'times serial':>14}")

    def show(name: str, seconds: float) -> None:
        print(f"{name:28} {seconds:14.3f} {serial / seconds:14.2f}", flush=True)

    show("serial", serial)
    show("serial, time limit", timed(busy, count, None, 600))
    show("2 processes", timed(busy, count, 2))
    for name, package, cluster in (("Dask", "distributed", dask), ("Ray", "ray", ray)):
        if find_spec(package) is None:
            print(f"{name:28} not installed")
            continue
        with cluster() as executor:
            show(f"{name}, 2 workers", timed(busy, count, executor))
            show(f"{name}, 2 workers, time limit", timed(busy, count, executor, 600))


if __name__ == "__main__":
    main()
