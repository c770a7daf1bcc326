"""Training steps a second by what PyTorch's threads do: python benchmarks/training_threads.py.

A BERT of each shape takes steps with one thread, with all, and with all that wait asleep (see
rosearch/threads.py), in turn, with nothing else to do and with one busy process pinned to each
core. Each figure is the least and the most of ``--pairs``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from typing import NamedTuple

import torch
from busy_machine import busy_cores
from transformers import BertConfig, BertForSequenceClassification

from rosearch.threads import computing


class Shape(NamedTuple):
    """A classifier, and a batch of texts for it."""

    name: str
    layers: int
    width: int
    batch: tuple[int, int]


SHAPES = (
    Shape("student", 3, 128, (32, 24)),
    Shape("MiniLM", 6, 384, (32, 24)),
    Shape("wide", 4, 768, (16, 32)),
)
KINDS = ("one thread", "all spin", "all sleep")


def rate(shape: Shape, kind: str, seconds: float) -> float:
    """Steps a second, in at least so many seconds and two steps; the first does not count."""
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.width // 32,
        intermediate_size=4 * shape.width,
        vocab_size=1000,
    )
    model = BertForSequenceClassification(config)
    optimizer = torch.optim.AdamW(model.parameters())
    ids = torch.randint(5, 1000, shape.batch)
    labels = torch.arange(shape.batch[0]) % 2
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(cores)
    threads = {"one thread": 1, "all sleep": cores}
    context: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    if kind in threads:
        context = computing(torch.device("cpu"), threads[kind])
    done, start = -1, 0.0
    with context:
        while done < 2 or time.perf_counter() - start < seconds:
            model(input_ids=ids, labels=labels).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            done += 1
            if not done:
                start = time.perf_counter()
    return done / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="of a measurement, at least")
    parser.add_argument("--pairs", type=int, default=2, help="measurements of each kind")
    options = parser.parse_args()
    found: dict[tuple[str, str, str], list[float]] = {}
    for _ in range(options.pairs):
        for load in ("idle", "busy"):
            with busy_cores() if load == "busy" else contextlib.nullcontext():
                for shape in SHAPES:
                    for kind in KINDS:
                        steps = rate(shape, kind, options.seconds)
                        found.setdefault((shape.name, load, kind), []).append(steps)
    print("| model | machine | " + " | ".join(KINDS) + " |")
    print("|---|---|" + "---:|" * len(KINDS))
    for shape in SHAPES:
        for load in ("idle", "busy"):
            rates = [found[shape.name, load, kind] for kind in KINDS]
            cells = " | ".join(f"{min(some):.2f} to {max(some):.2f}" for some in rates)
            print(f"| {shape.name} | {load} | {cells} |")
    print(f"load of the machine {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
