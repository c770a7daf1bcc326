"""What a search takes where other programs have the cores: python benchmarks/busy_machine.py.

Four hand-designed students are trained and attacked, as ``make demo`` does first, with nothing else
to do and with one busy process pinned to each core, ``--pairs`` times in turn. With ``--before
FOLDER``, the working tree of an earlier version, that version does the same in between. Compare
ratios of one run only; the machine's load beside them says what else it did.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--before", type=Path, help="working tree of the version to compare with")
    parser.add_argument("--teacher", help="folder of a teacher; default: that of make demo")
    parser.add_argument("--train", type=int, default=1200, help="training sentences")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of a student")
    parser.add_argument("--examples", type=int, default=50, help="sentences attacked a student")
    parser.add_argument("--pairs", type=int, default=2, help="measurements of each kind")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        search(options)
        return
    trees = {"now": ROOT, **({} if options.before is None else {"before": options.before})}
    seconds: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as cache:
        for pair in range(options.pairs):
            for load in ("idle", "busy"):
                for name, tree in trees.items():
                    with busy_cores() if load == "busy" else contextlib.nullcontext():
                        taken = measured(tree, Path(cache), options)
                    seconds.setdefault((name, load), []).append(taken)
                    print(
                        f"{pair + 1} {name:6s} {load} {taken:7.1f} s  "
                        f"load of the machine {os.getloadavg()[0]:.1f}",
                        flush=True,
                    )
    median = {kind: statistics.median(taken) for kind, taken in seconds.items()}
    print(f"\n{options.train} sentences, {options.epochs} epochs, {options.examples} attacked")
    for name in trees:
        print(f"{name}: busy / idle = {median[name, 'busy'] / median[name, 'idle']:.2f}")
    if options.before is not None:
        for load in ("idle", "busy"):
            ratio = median["before", load] / median["now", load]
            print(f"{load}: {ratio:.2f} times as fast as before")


@contextlib.contextmanager
def busy_cores() -> Iterator[None]:
    """One process that computes without end on each core of this one."""
    running = []
    for core in os.sched_getaffinity(0):
        process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        os.sched_setaffinity(process.pid, {core})
        running.append(process)
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def measured(tree: Path, cache: Path, options: argparse.Namespace) -> float:
    """Seconds of the search with the package in ``tree``; making its parts does not count."""
    names = ("teacher", "train", "epochs", "examples")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    done = subprocess.run(
        [sys.executable, __file__, "--measure", *(f"--{k}={v}" for k, v in given.items())],
        env={**os.environ, "PYTHONPATH": str(tree.resolve()), "OWN_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return float(json.loads(done.stdout.splitlines()[-1]))


def search(options: argparse.Namespace) -> None:
    """Evaluate the four students with the default executor, and print the seconds."""
    from material import cached_teacher, materials

    import rosearch as rs

    folder = options.teacher or cached_teacher()
    train, dev = materials.movie_reviews().split(options.train, 500, seed=0)
    os.environ["ROSEARCH_CACHE"] = os.environ["OWN_CACHE"]  # both versions fill one of their own
    teacher = rs.Teacher.from_pretrained(folder)
    teacher.logits(train)
    pipeline = rs.Pipeline(
        rs.Distiller(teacher, train, dev, epochs=options.epochs, progress=False),
        rs.RobustnessEvaluator(["pwws"], dev, examples=options.examples, progress=False),
    )
    genomes = [make() for make in rs.templates.SMALL.values()]
    evolver = rs.Evolver(
        rs.SearchSpace(),
        pipeline,
        rs.Fitness({"robustness": 1.0, "accuracy": 1.0}),
        initial_genomes=genomes,
        overlap=len(genomes),
    )
    start = time.perf_counter()
    result = evolver.run(len(genomes), progress=False)
    seconds = time.perf_counter() - start
    assert all(trial.state == "complete" for trial in result.trials), result.trials
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
