"""Evaluations that take no time, at the top level of a module so that workers can import them."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import time
from pathlib import Path

from rosearch.fitness import Fitness
from rosearch.space import SearchSpace

FITNESS = Fitness({"robustness": 1.0, "accuracy": 1.0, "compression": 0.1})
SPACE = SearchSpace(
    operators=[
        "attention", "average_pooling", "bidirectional_gru", "convolution", "feed_forward",
        "gated_linear_unit", "identity", "max_pooling", "separable_convolution",
    ],
    nodes=(0, 8),
    widths=(64, 96, 128, 160, 192, 256),
    embedding_widths=(32, 64, 96, 128),
    embeddings=["subword_embedding"],
    poolings=("mean", "max", "first"),
)  # fmt: skip


def synthetic(genome, *, seed):
    """Figures with a structure that a search can find, the same in every process.

    Attention nodes and width make a student right, convolutions make it robust.
    """
    operators = [node.operator for node in genome.nodes]
    attention = sum("attention" in name for name in operators)
    convolution = sum("convolution" in name for name in operators)
    residual = sum(node.residual for node in genome.nodes)
    noise = (seed % 1009) / 1009 * 0.02
    cost = 1 + 0.2 * len(operators) + genome.width / 100
    return {
        "accuracy": 0.6 + 0.05 * min(attention, 3) + 0.02 * residual + noise,
        "accuracy_under_attack": 0.1 + 0.08 * min(convolution, 4) + noise,
        "compression": 20 / cost,
    }


def slow(genome, *, seed):
    """As ``synthetic``, in a time that differs from candidate to candidate."""
    time.sleep(0.02 + (seed % 7) / 70)
    return synthetic(genome, seed=seed)


def failing(genome, *, seed):
    raise RuntimeError(f"no luck with {seed}")


class Log:
    """An evaluation that writes down every genome it is given."""

    settings = {"what": "synthetic"}

    def __init__(self, path, inner=synthetic):
        self.path = Path(path)
        self.inner = inner

    def __call__(self, genome, *, seed):
        with self.path.open("a") as file:
            file.write(f"{genome.key} {seed}\n")
        return self.inner(genome, seed=seed)

    def lines(self):
        return self.path.read_text().split("\n")[:-1] if self.path.exists() else []


class Runged(Log):
    """As ``Log``, in three rungs, of which the lower ones are noisier.

    Args:
        path: The log.
        slope: What each rung adds to the accuracy.
        pause: Seconds for a rung, more or less.
        inherits: Whether a parent makes a difference.
    """

    rungs = 3

    def __init__(self, path, *, slope=0.02, pause=0.0, inherits=False):
        super().__init__(path)
        self.slope = slope
        self.pause = pause
        self.inherits = inherits

    def __call__(self, genome, *, seed, rung, parent=None):
        with self.path.open("a") as file:
            file.write(f"{genome.key} {seed} {rung}\n")
        time.sleep(self.pause * (1 + seed % 5))
        metrics = self.inner(genome, seed=seed)
        noise = ((seed >> rung) % 101) / 101 * (2 - rung) * 0.1
        gift = 0.0 if parent is None else 0.01 + (parent.seed % 7) / 100 * (1 + (parent.rung or 0))
        return metrics | {"accuracy": metrics["accuracy"] + noise + self.slope * rung + gift}


class Costed(Log):
    """As ``Log``, with the compression known before training."""

    def cost(self, genome):
        return {"compression": synthetic(genome, seed=0)["compression"]}


class Asking:
    """Asks for processes, and notes in which one each candidate was evaluated."""

    settings = {"what": "asking"}

    def __init__(self, folder, processes=2):
        self.folder, self.processes = Path(folder), processes

    def __call__(self, genome, *, seed):
        (self.folder / str(seed)).write_text(str(os.getpid()))
        return synthetic(genome, seed=seed)


class KillsItself:
    """Ends its process, as the kernel does when memory is short, on the seeds given.

    Args:
        seeds: Seeds of the candidates that are too large.
        once: A file; if it is there, the process lives. It is made before the end.
    """

    settings = {"what": "synthetic"}

    def __init__(self, seeds, once=None):
        self.seeds = frozenset(seeds)
        self.once = once

    def __call__(self, genome, *, seed):
        if seed in self.seeds and not (self.once and Path(self.once).exists()):
            if self.once:
                Path(self.once).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return synthetic(genome, seed=seed)


class Troubled:
    """As ``synthetic``, except for the seeds that have a trouble.

    Args:
        troubles: By seed: ``"raise"``, ``"memory"`` (a MemoryError), ``"nan"``, ``"kill"`` (as the
            kernel does when memory is short) or ``"hang"`` (in C, with Python's lock held).
    """

    settings = {"what": "synthetic"}

    def __init__(self, troubles):
        self.troubles = dict(troubles)

    def __call__(self, genome, *, seed):
        trouble = self.troubles.get(seed)
        if trouble == "raise":
            raise RuntimeError("no luck")
        if trouble == "memory":
            raise MemoryError("cannot allocate")
        if trouble == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if trouble == "hang":
            ctypes.PyDLL(None).sleep(600)
        metrics = synthetic(genome, seed=seed)
        return metrics | {"accuracy": math.nan} if trouble == "nan" else metrics


class Waits:
    """As ``synthetic``; the first time that it is given ``seed``, it waits for its end.

    Args:
        seed: Seed of the candidate.
        folder: The number of the process that waits is written into a file ``process`` there.
    """

    settings = {"what": "synthetic"}

    def __init__(self, seed=None, folder=None):
        self.seed = seed
        self.folder = folder

    def __call__(self, genome, *, seed):
        if seed == self.seed and not (Path(self.folder) / "process").exists():
            write_process_and_wait(Path(self.folder) / "process")
        return synthetic(genome, seed=seed)


def write_process_and_wait(path):
    part = path.with_suffix(".part")
    part.write_text(str(os.getpid()))
    part.rename(path)
    time.sleep(600)


def kill_once(path):
    """Kill the process that writes its number to ``path``."""
    deadline = time.monotonic() + 120
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(int(path.read_text()), signal.SIGKILL)


class Loaded:
    """As ``synthetic``; leaves a file, named after its process, each time that it is unpickled."""

    settings = {"what": "synthetic"}

    def __init__(self, folder):
        self.folder = Path(folder)

    def __setstate__(self, state):
        vars(self).update(state)
        (self.folder / f"{os.getpid()}-{time.monotonic_ns()}").touch()

    def __call__(self, genome, *, seed):
        return synthetic(genome, seed=seed)


def threads(genome, *, seed):
    """With the threads that a worker process uses: by its environment, and in PyTorch."""
    import torch

    used = {"omp": int(os.environ["OMP_NUM_THREADS"]), "torch": torch.get_num_threads()}
    return synthetic(genome, seed=seed) | used
