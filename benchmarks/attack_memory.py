"""Peak memory of an attack on many short examples, in one process each. Prints one table.

    python benchmarks/attack_memory.py --examples 1000 10000

The victim is a cheap function and the attack DeepWordBug, so that what is held is the engine's own:
records, searches under way, and answers remembered. --trace names what is held at the end.
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

import numpy as np

import rosearch as rs

_WORDS = (
    "awful dull stupid boring weak clumsy tedious horrible bad silly great good wonderful funny "
    "charming clever lovely moving superb bright film movie plot cast story script actor music"
).split()


def texts(count: int) -> list[str]:
    """Made-up sentences of 6 to 18 words, all different."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 17, size=count)
    return [f"no{k} " + " ".join(rng.choice(_WORDS, size=n)) for k, n in enumerate(lengths)]


def by_letters(batch: Sequence[str]) -> np.ndarray:
    """Two classes by the share of vowels."""
    share = np.array([sum(map(text.count, "aeiou")) / len(text) for text in batch])
    high = 1 / (1 + np.exp(-40 * (share - 0.31)))
    return np.stack([1 - high, high], axis=1)


def mebibytes() -> float:
    """Largest resident set of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def measure(count: int, attack: str, trace: bool) -> None:
    """Attack ``count`` examples and print a row."""
    chosen = texts(count)
    data = rs.TextDataset(chosen, by_letters(chosen).argmax(axis=1).tolist())
    evaluator = rs.RobustnessEvaluator(attack, data, examples=None, progress=False)
    before = mebibytes()
    if trace:
        tracemalloc.start()
    begun = time.perf_counter()
    report = evaluator.evaluate(by_letters)
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
    parser.add_argument("--attack", default="deepwordbug")
    parser.add_argument("--trace", action="store_true", help="say what is held; slow")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(options.examples[0], options.attack, options.trace)
        return
    print(
        " examples   queries      rows  before_mib  peak_mib  more_mib  records_mib  seconds",
        flush=True,
    )
    for count in options.examples:
        command = [sys.executable, __file__, "--one", "--examples", str(count)]
        command += ["--attack", options.attack, *(["--trace"] if options.trace else [])]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
