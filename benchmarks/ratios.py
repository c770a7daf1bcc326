"""Each ratio to another library that README.md and docs/ name, in one run.

    make bench-peers                            # in .venv-peers, which has the other libraries
    python benchmarks/ratios.py --only operators training
    python benchmarks/ratios.py --small         # next to nothing of each part, to see it run

Ratios are of speed: above 1, rosearch is faster. The limit is the ratio that would be reached if
only the operations were left that cannot be saved: bare forward passes (attacks; in float32, so
bfloat16 may exceed it), forward and backward passes over batches without padding (distillation), or
``peers.least_work`` (operators). The scripts that each part calls say what the sides run. All sides
of a part have the same threads. The first run fine-tunes the quickstart's teacher.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import attack_engine
import attack_throughput
import distillation
import measuring
import peers
import student_training
import torch

ROWS = (
    "PWWS on a 3-layer student",
    "PWWS on the MiniLM teacher",
    "attack engine",
    "distillation, cached teacher",
    "each operator",
    "training a 12-node student",
)
"""What docs/performance.md compares by this script."""


@dataclass(frozen=True)
class Ratio:
    """One line of the table.

    Attributes:
        row: What is compared, of ``ROWS`` where the documentation has it.
        detail: Which of several.
        peer: What it is compared with.
        ratios: The peer's time over ours, for each size.
        limits: The peer's time over the limit's; empty where the peer is the limit.
        remark: Anything else to know.
    """

    row: str
    detail: str
    peer: str
    ratios: tuple[float, ...]
    limits: tuple[float, ...] = ()
    remark: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """Texts of the table."""
        shares = [ours / limit for ours, limit in zip(self.ratios, self.limits, strict=False)]
        figures = (span(self.ratios), span(self.limits), span(shares))
        return (self.row, self.detail, self.peer, *figures, self.remark)


def span(values: Any) -> str:
    """One value, or the least and the greatest."""
    shown = [f"{value:.2f}" for value in sorted(values)]
    return " to ".join(dict.fromkeys([shown[0], shown[-1]])) if shown else ""


def main(line: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--small", action="store_true", help="next to nothing of each part")
    options = parser.parse_args(line)
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, "
          f"load {os.getloadavg()[0]:.1f}; {versions()}", flush=True)  # fmt: skip
    table = [("what", "", "against", "ratio", "limit", "share of it", "")]
    for name in options.only:
        begun = time.perf_counter()
        table += [found.cells for found in PARTS[name](options.small)]
        print(f"{name}: {time.perf_counter() - begun:.0f} s", flush=True)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        print("  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)).rstrip())
    for row in sorted(set(ROWS) - {cells[0] for cells in table}):
        print(f"not measured: {row}")


def versions() -> str:
    """Of the libraries; those that are not installed are named too."""

    def shown(name: str) -> str:
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            return f"{name} missing (make peers)"

    return ", ".join(
        map(shown, ("torch", "transformers", "accelerate", "textbrewer", "textattack"))
    )


def attacks(small: bool) -> Iterator[Ratio]:
    """TextAttack, and bare forward passes."""
    # Victim, attack and examples of each.
    plan = (
        ("student", "PWWS", 40),
        ("student", "DeepWordBug", 100),
        ("teacher", "PWWS", 10),
    )
    if small:
        data = attack_engine.sentences(40)
        tokenizer = attack_engine.word_tokenizer(data)
        model = attack_engine.classifier(None, tokenizer, len(data.classes))
        victims = dict.fromkeys(("student", "teacher"), (model, tokenizer))
    else:
        data, victims = attack_throughput.victims(attack_throughput.arguments(["--real"]))
    shown = {"student": "a 3-layer student", "teacher": "the MiniLM teacher"}
    for name, attack, examples in plan:
        options = attack_throughput.arguments(
            ["--recipe", attack.lower(), "--examples", str(2 if small else examples),
             "--shipped", "0", "--repeats", "1" if small else "3"]
        )  # fmt: skip
        model, tokenizer = victims[name]
        model.eval()
        texts = attack_throughput.labelled(model, tokenizer, data)
        sides = attack_throughput.contest(model, tokenizer, texts, options)
        by_name = {side.name: side for side in sides}
        exact, limit = by_name["rosearch float32"], sides[-1]
        if (theirs := by_name.get("TextAttack well made")) is not None:
            for precision in ("float32", "bfloat16"):
                ours = by_name[f"rosearch {precision}"]
                pairs = list(zip(ours.verdicts or (), theirs.verdicts or (), strict=True))
                yield Ratio(
                    f"{attack} on {shown[name]}",
                    precision,
                    theirs.name,
                    (ours.rate / theirs.rate,),
                    (limit.rate / theirs.rate,),
                    f"{sum(a == b for a, b in pairs)} of {len(pairs)} verdicts the same",
                )
        detail = f"{attack} on {shown[name]}"
        yield Ratio("attack engine", detail, "bare forward passes", (exact.rate / limit.rate,))


def training_loops(small: bool) -> Iterator[Ratio]:
    """The Trainer, TextBrewer, and forward and backward passes."""
    line = ["--small"] if small else ["--teacher", str(quickstart_teacher())]
    options = distillation.arguments(line)
    with distillation.material(options) as (teacher, train, dev):
        genome = distillation.rs.templates.transformer(
            width=options.width, embedding_width=options.embedding_width
        )
        task = distillation.Task(
            teacher, train, dev, genome, options.epochs, options.batch_size, seed=0
        )
        runs = distillation.compare(task, options)
    *measured, limit = runs
    floor = limit.seconds / limit.epochs * options.epochs
    theirs = [run for run in measured if not run.side.startswith("rosearch")]
    for run in measured:
        if run in theirs:
            continue
        detail = run.side.removeprefix("rosearch").strip(", ") or "float32"
        for peer in theirs:
            best = [f"{max(v for _, v in r.curve):.1%}" for r in (run, peer)]
            yield Ratio(
                "distillation, cached teacher",
                detail,
                peer.side,
                (peer.seconds / run.seconds,),
                (peer.seconds / floor,),
                f"accuracy on dev {' and '.join(best)}",
            )
        yield Ratio("distillation, cached teacher", detail, limit.side, (floor / run.seconds,))


def quickstart_teacher() -> str:
    """Folder of the quickstart's teacher, fine-tuned where it is not there yet."""
    import quickstart  # found by material, which distillation imports

    options = quickstart.arguments([])
    folder: str = quickstart.load_teacher(options, *quickstart.splits(options)[:2])[1]
    return folder


def operators(small: bool) -> Iterator[Ratio]:
    """PyTorch's and transformers' modules."""
    shapes = [(4, 8, 32)] if small else measuring.SHAPES["full"]
    repeats = 1 if small else 5
    for name in peers.built_in():
        for kind in peers.PASSES:
            ratios, limits = [], []
            for shape in shapes:
                ours, theirs = (
                    measuring.least(peers.task(name, side, kind, shape), repeats)
                    for side in peers.SIDES
                )
                ratios.append(theirs / ours)
                limits.append(theirs / peers.least_work(name, kind, shape)["limit"])
            yield Ratio(
                "each operator",
                f"{name}, {kind}",
                peers.PEERS[name][0],
                tuple(ratios),
                tuple(limits),
            )


def one_student(small: bool) -> Iterator[Ratio]:
    """The same graph as a plain module."""
    shapes = [(4, 8)] if small else [(32, 32), (32, 64), (64, 32), (16, 128)]
    repeats = 1 if small else 20
    speeds = [student_training.measure(*shape, repeats=repeats) for shape in shapes]
    ratios = tuple(ours / theirs for ours, theirs in speeds)
    yield Ratio("training a 12-node student", "", "one plain module", ratios)


PARTS: dict[str, Callable[[bool], Iterator[Ratio]]] = {
    "attacks": attacks,
    "distillation": training_loops,
    "operators": operators,
    "training": one_student,
}


if __name__ == "__main__":
    main()
