"""Peak memory of an attack on many examples, in one process each. Prints one table.

    python benchmarks/attack_memory.py --examples 1000 10000
    python benchmarks/attack_memory.py --examples 50 150 --words 400 --model

The victim is a cheap function, or with --model a cheap model behind a tokenizer, and the attack
DeepWordBug, so that what is held is the engine's own: records, searches under way, and what the
victim remembers. --trace names what is held at the end.
"""

from __future__ import annotations

import argparse
import pickle
import resource
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from attack_engine import word_tokenizer

import rosearch as rs

_WORDS = (
    "awful dull stupid boring weak clumsy tedious horrible bad silly great good wonderful funny "
    "charming clever lovely moving superb bright film movie plot cast story script actor music"
).split()


def texts(count: int, words: int) -> list[str]:
    """Made-up texts of about that many words, half as many to half as many more, all different."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(words // 2 - 1, words + words // 2 - 1, size=count)
    return [f"no{k} " + " ".join(rng.choice(_WORDS, size=n)) for k, n in enumerate(lengths)]


def by_letters(batch: Sequence[str]) -> np.ndarray:
    """Two classes by the share of vowels."""
    share = np.array([sum(map(text.count, "aeiou")) / len(text) for text in batch])
    high = 1 / (1 + np.exp(-40 * (share - 0.31)))
    return np.stack([1 - high, high], axis=1)


class ByTokens(torch.nn.Module):
    """Almost always the second class, so that searches make all their queries.

    Scores are means of random token scores.
    """

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.scores = torch.nn.EmbeddingBag(vocabulary, 2, mode="sum")
        self.bias = torch.tensor([0.0, 5.0])

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **_: Any) -> Any:
        """Logits of a batch."""
        read = attention_mask.float()
        sums = self.scores(input_ids, per_sample_weights=read)
        return SimpleNamespace(logits=sums / read.sum(1, keepdim=True) + self.bias)


def mebibytes() -> float:
    """Largest resident set of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def measure(count: int, words: int, attack: str, model: bool, trace: bool) -> None:
    """Attack ``count`` examples and print a row."""
    chosen = texts(count, words)
    labels = [1] * count if model else by_letters(chosen).argmax(axis=1).tolist()
    data = rs.TextDataset(chosen, labels, classes=["first", "second"])
    victim: tuple[Any, ...] = (by_letters,)
    if model:
        tokenizer = word_tokenizer(data)
        tokenizer.model_max_length = 1024
        victim = ByTokens(len(tokenizer)), tokenizer
    evaluator = rs.RobustnessEvaluator(attack, data, examples=None, progress=False)
    before = mebibytes()
    if trace:
        tracemalloc.start()
    begun = time.perf_counter()
    report = evaluator.evaluate(*victim)
    seconds, peak = time.perf_counter() - begun, mebibytes()
    records = len(pickle.dumps(report.examples)) / 2**20
    print(
        f"{count:9} {report.queries:9} {report.forward_rows:9} {before:11.0f} {peak:9.0f} "
        f"{peak - before:9.0f} {records:11.1f} {seconds:8.1f}"
    )
    if trace:
        for line in tracemalloc.take_snapshot().statistics("lineno")[:12]:
            print(f"    {line}")


def main() -> None:
    """Run each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--words", type=int, default=11, help="mean number of words of a text")
    parser.add_argument("--model", action="store_true", help="attack a model behind a tokenizer")
    parser.add_argument("--attack", default="deepwordbug")
    parser.add_argument("--trace", action="store_true", help="say what is held; slow")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        asked = options.attack, options.model, options.trace
        measure(options.examples[0], options.words, *asked)
        return
    print(
        " examples   queries      rows  before_mib  peak_mib  more_mib  records_mib  seconds",
        flush=True,
    )
    for count in options.examples:
        command = [sys.executable, __file__, "--one", "--examples", str(count)]
        command += ["--attack", options.attack, "--words", str(options.words)]
        command += [f"--{name}" for name in ("model", "trace") if getattr(options, name)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
