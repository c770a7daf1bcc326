"""Evaluations that take no time, at the top level of a module so that workers can import them."""

from __future__ import annotations

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


class Costed(Log):
    """As ``Log``, with the compression known before training."""

    def cost(self, genome):
        return {"compression": synthetic(genome, seed=0)["compression"]}


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


def threads():
    """Threads that a worker process uses: by its environment, and in PyTorch."""
    import torch

    return int(os.environ["OMP_NUM_THREADS"]), torch.get_num_threads()
