r"""A search on a Dask cluster that is interrupted and resumed without repeating finished work.

    pip install "rosearch[dask]"
    python examples/resume_on_dask.py                  # two workers on this machine
    python examples/resume_on_dask.py --address tcp://scheduler:8786 \
        --storage journal:////shared/search.log --out /shared/run --interrupt 0

When the first candidates are finished, the script sends itself Ctrl-C and closes its cluster. Then
it continues on a new cluster, as it would if you ran it again. Candidates that were interrupted
start again with the same genomes and seeds. A cluster of several machines needs --out (for students
and cache) on a shared disk, and a storage other than SQLite. Takes about five minutes on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import searching  # beside this file

import rosearch as rs


class Noted(rs.Pipeline):
    """A pipeline that writes down every evaluation that has come to its end."""

    def __call__(self, genome: rs.Genome, **arguments: Any) -> dict[str, float]:
        metrics = super().__call__(genome, **arguments)
        if self.students is not None:
            with note(self.students).open("a", encoding="utf-8") as log:
                log.write(f"{genome.key}\n")
        return metrics


def main(line: Sequence[str] | None = None) -> None:
    """Search, be interrupted, go on."""
    parser = searching.parser(__doc__ or "", out="runs/dask")
    parser.add_argument("--address", help="of a Dask scheduler; default: a cluster made here")
    parser.add_argument("--workers", type=int, default=2, help="of the cluster made here")
    parser.add_argument("--storage", help="URL of the study; default: an SQLite file in --out")
    parser.add_argument("--interrupt", type=int, default=3, help="after so many; 0: never")
    options = parser.parse_args(line)
    teacher, train, dev = searching.material(options)
    teacher.logits(train)  # once here, so that no worker waits for another to do it

    students = options.out.resolve() / "students"
    evolver = rs.Evolver(
        searching.space(options, compression=(4.6, None), teacher=teacher),
        Noted(
            searching.distiller(options, teacher, train, dev),
            rs.RobustnessEvaluator(options.attacks, dev, examples=options.examples),
            students=students,
        ),
        rs.Fitness({"robustness": 1.0, "accuracy": 1.0}, constraints={"accuracy": (0.7, None)}),
        storage=options.storage or searching.storage(options),
        study="dask",
        seed=options.seed,
        overlap=options.workers,  # the search is the same whichever worker is faster
    )
    if len(finished(evolver)) < options.interrupt < options.candidates:
        with cluster(options) as client, interrupted_after(options.interrupt, evolver):
            evolver.run(candidates=options.candidates, executor=client.get_executor())
    before = finished(evolver)
    print(f"finished so far: {len(before)}; now the rest, on a new cluster")
    with cluster(options) as client:
        search = evolver.run(candidates=options.candidates, executor=client.get_executor())

    ends = Counter(note(students).read_text(encoding="utf-8").split())
    twice = [key for key in before if ends[key] > 1]
    print(search)
    print(f"finished before: {len(before)}, after: {len(finished(evolver)) - len(before)}")
    print(f"finished before and evaluated again: {len(twice)}")
    print(f"best: candidate {search.best.number}, {dict(search.best.metrics)}")


def finished(evolver: rs.Evolver) -> list[str]:
    """Keys of the genomes that have an outcome."""
    return [trial.key for trial in evolver.result.trials if trial.state != "running"]


def note(students: Path) -> Path:
    """The file of finished evaluations, beside the folder of students."""
    return students.with_name("evaluated.txt")


@contextlib.contextmanager
def cluster(options: argparse.Namespace) -> Iterator[Any]:
    """A client of the cluster that the options name."""
    from distributed import Client, LocalCluster

    if options.address:
        with Client(options.address) as client:
            yield client
        return
    here = LocalCluster(
        n_workers=options.workers,
        threads_per_worker=1,
        dashboard_address=None,
        silence_logs=logging.CRITICAL,  # workers complain when they are interrupted
    )
    with here, Client(here) as client:
        yield client


@contextlib.contextmanager
def interrupted_after(count: int, evolver: rs.Evolver) -> Iterator[None]:
    """Ctrl-C comes when ``count`` candidates are finished, and ends the block."""
    over, pressed = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            if len(finished(evolver)) >= count:
                pressed.set()
                os.kill(os.getpid(), signal.SIGINT)
                return

    # A job in the background may have been started so that it ignores Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    except KeyboardInterrupt:
        if not pressed.is_set():  # a person's
            raise
        print("interrupted")
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    main()
