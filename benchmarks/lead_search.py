"""Searches of encodings, bounds and architectures, beside random samples and hand design.

    python benchmarks/encoding_matrix.py teachers           # fine-tunes the two teachers
    python benchmarks/lead_search.py search movies          # 150 candidates; goes on where it was
    python benchmarks/lead_search.py second news            # another start, two trainings
    python benchmarks/lead_search.py random movies
    python benchmarks/lead_search.py hand movies            # templates, all encodings and bounds
    python benchmarks/lead_search.py confirm movies         # the best three of each, afresh
    python benchmarks/lead_search.py export movies          # the committed files
    python benchmarks/lead_search.py table movies           # what is in them

The same with ``news``. All have the same space, training and attacks, and report processor seconds.
``confirm`` trains with new seeds and attacks test texts, by the attacks of the search and by
others, which need word vectors: see encoding_matrix.py. It begins with the best of each study, and
``confirm movies --best 1`` ends there; the same without it goes on.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # one process a core is faster than one process with all

import argparse
import itertools
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import encoding_matrix
from encoding_matrix import MAIN, SPELLING, classes, splits
from first_search import OUTCOMES, Afresh, best
from journals import DATA, pack, restore
from lead_confirmed import BEST, WEIGHTS, differences, students
from lead_tables import KINDS, UNFINISHED, journal, searches

import rosearch as rs
from rosearch.operators import EmbeddingOperator
from rosearch.space import Embedding

OUT = Path("runs/lead")
COMPRESSION = (4.6, 6.5)
FLOPS = 10e6
"""Most for 32 tokens, so that a student trains in a minute."""
BOUNDS = (0.1, 0.3, 0.5, 1.0, None)


class Setting(NamedTuple):
    """What differs between the data sets; trainings and weights are those of encoding_matrix.py."""

    strengths: tuple[float, ...]
    training: Mapping[str, Any]
    rungs: tuple[rs.Rung, ...]
    """A third goes on to the next: the last only attacks more texts."""
    tested: int


SETTINGS = {
    "movies": Setting(
        (0.05, 0.1, 0.2),
        {"epochs": 3, "learning_rate": 1e-3, "dropout": 0.1},
        (rs.Rung(epochs=1, examples=60), rs.Rung(epochs=3, examples=200), rs.Rung()),
        500,
    ),
    "news": Setting(
        (0.02, 0.05, 0.1),
        {"epochs": 6, "learning_rate": 2e-3},
        (rs.Rung(epochs=2, examples=40), rs.Rung(epochs=6, examples=120), rs.Rung()),
        400,
    ),
}
SECOND = "second"
"""The second round of search: it begins with all inputs, and its last rung trains twice.

The first began with templates that all read pieces of words, and on news it hardly came back to
characters, which it had seen twice by then, with bad luck.
"""
EXAMPLES = {"movies": 500, "news": 300}
"""Dev texts that the last rung attacks."""


def space(data: str, teacher: rs.Teacher) -> rs.SearchSpace:
    """The default space at 4.6 to 6.5 times compression, with encodings and bounds."""
    spelling = {name: [value] for name, value in SPELLING.parameters.items()}
    return rs.SearchSpace(
        teacher=teacher,
        compression=COMPRESSION,
        flops=(None, FLOPS),
        encodings={
            "spelling": spelling,
            "word_classes": {"strength": list(SETTINGS[data].strengths)},
        },
        bounds=BOUNDS,
        scopes=encoding_matrix.SCOPES[data],
    )


def fitness(teacher_accuracy: float) -> rs.Fitness:
    """A point of accuracy counts as four under attack; halving the size as ten."""
    return rs.Fitness(
        WEIGHTS,
        constraints={"accuracy": (teacher_accuracy - 0.08, None), "worst_class": (0.2, None)},
    )


def hand_designed(data: str, of: rs.SearchSpace) -> list[rs.Genome]:
    """The templates of the space behind both encodings, with each strength and bound."""
    bounds = [bound for bound in BOUNDS if bound is not None]
    # The middle first: they also start the search.
    order = sorted(
        itertools.product(bounds, SETTINGS[data].strengths),
        key=lambda pair: (
            abs(bounds.index(pair[0]) - 2),
            abs(pair[1] - SETTINGS[data].strengths[1]),
        ),
    )
    templates = [genome for genome in rs.templates.fitting(of) if genome.bound is not None]
    return [
        replace(genome, encodings=(SPELLING, classes(strength)), bound=bound)
        for bound, strength in order
        for genome in templates
    ]


def all_inputs(data: str, of: rs.SearchSpace) -> list[rs.Genome]:
    """Each input with each bound, before one of the templates in turn."""
    templates = [genome for genome in rs.templates.fitting(of) if genome.bound is not None]
    encodings = (SPELLING, classes(SETTINGS[data].strengths[1]))
    pairs = itertools.product(filter(None, BOUNDS), rs.operators.names(EmbeddingOperator))
    made = (
        replace(genome, embedding=Embedding(name), encodings=encodings, bound=bound)
        for genome, (bound, name) in zip(itertools.cycle(templates), pairs, strict=False)
    )
    return [genome for genome in made if of.violation(genome) is None]


def distiller(data: str, teacher: rs.Teacher) -> rs.Distiller:
    """Token scores against their exact worst case, and graphs plainly on what they leave."""
    row = encoding_matrix.Row((SPELLING,), bound=1.0)
    return encoding_matrix.distiller(data, teacher, row, **SETTINGS[data].training)


def pipeline(data: str, teacher: rs.Teacher, trainings: int = 1) -> rs.Pipeline:
    """Training and attack on dev texts, the same in all studies but for the last rung's number."""
    _, dev, _ = splits(data)
    attacker = rs.RobustnessEvaluator(
        MAIN, dev, examples=EXAMPLES[data], certify=True, progress=False
    )
    *below, last = SETTINGS[data].rungs
    rungs = (*below, replace(last, trainings=trainings))
    return rs.Pipeline(distiller(data, teacher), attacker, rungs=rungs, clock=time.process_time)


def evolver(data: str, kind: str, teacher: rs.Teacher) -> rs.Evolver:
    """One of the studies."""
    within = space(data, teacher)
    by_hand = hand_designed(data, within)
    first = {"search": by_hand[:8], "hand": by_hand, SECOND: all_inputs(data, within)}.get(kind, ())
    strategy: str | rs.Strategy = "surrogate" if kind == "search" else "random"
    if kind == SECOND:
        strategy = rs.SurrogateEvolution(initial=len(first))
    return rs.Evolver(
        within,
        pipeline(data, teacher, trainings=2 if kind == SECOND else 1),
        fitness(teacher.accuracy(splits(data)[1], progress=False)),
        storage=restore(journal(data, kind), kind, OUT / data / kind),
        study=kind,
        strategy=strategy,
        initial_genomes=first,
        seed=list(KINDS).index(kind),
        overlap=2,
    )


def run(options: argparse.Namespace) -> None:
    """Go on until one of the studies has its candidates."""
    data, teacher = options.data, cached_teacher(options.data)
    count = options.candidates
    if options.step == "hand":  # which has no others
        count = min(count, len(hand_designed(data, space(data, teacher))))
    executor = options.workers if options.workers > 1 else None
    print(evolver(data, options.step, teacher).run(count, executor=executor))


def confirm(options: argparse.Namespace) -> None:
    """Train the best of each study again, and attack them on test texts."""
    data: str = options.data
    teacher = cached_teacher(data)
    _, _, test = splits(data)
    there = [k for k in options.kinds if (OUT / data / k).exists() or journal(data, k).exists()]
    kinds = [k for k in there if (data, k) not in UNFINISHED]
    found = {kind: rs.load_search(study(data, kind), kind) for kind in kinds}
    places = [(place, kind) for place in range(options.best) for kind in kinds]
    fittest = {kind: best(result) for kind, result in found.items()}
    genomes = {
        f"{kind} {place + 1}": fittest[kind][place]
        for place, kind in places
        if place < len(fittest[kind])
    }
    names = ("both", "textfooler", "textbugger", "genetic")
    kept = encoding_matrix.attackers(test, SETTINGS[data].tested, certify=False, names=names)
    # All texts, so that small differences show; the others are no part of the fitness.
    kept |= encoding_matrix.attackers(test, len(test), certify=False, names=names[:1])
    afresh = Afresh(distiller(data, teacher), kept, OUT / data / "students")
    confirmation = rs.confirm(
        found[kinds[0]],
        afresh,
        top=0,
        seeds=3,
        genomes=genomes,
        storage=OUT / data / "confirmed.json",
        executor=options.workers if options.workers > 1 else None,
    )
    print(confirmation)
    summary = {
        c.name: {
            "genome": c.genome.to_dict(),
            "runs": [
                {"seed": run.seed, **run.metrics, "outcomes": outcomes(afresh, c.genome, run.seed)}
                for run in c.runs
                if not run.failure
            ],
        }
        for c in confirmation.candidates
    }
    path = OUT / data / "summary.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    merged = sorted((known | summary).items(), key=lambda item: _by_kind(item[0]))
    path.write_text(json.dumps(dict(merged), indent=1) + "\n")


def _by_kind(name: str) -> tuple[int, str]:
    kind, place = name.split()
    return list(KINDS).index(kind), place


def outcomes(afresh: Afresh, genome: rs.Genome, seed: int) -> dict[str, str]:
    """What became of each test text; see ``first_search.outcomes_of``."""
    path = afresh.where(genome, seed) / OUTCOMES
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return found


def export(options: argparse.Namespace) -> None:
    """Write what there is as small files."""
    data: str = options.data
    for kind in KINDS:
        if (OUT / data / kind).exists():
            pack(study(data, kind), kind, journal(data, kind))
    if (OUT / data / "summary.json").exists():
        shutil.copy(OUT / data / "summary.json", DATA / f"lead-{data}.json")


def table(options: argparse.Namespace) -> None:
    """Print what is in the committed studies."""
    tables = [searches(options.data)]
    if (DATA / f"lead-{options.data}.json").exists():
        tables += [students(options.data), differences(options.data)]
    for rows in tables:
        print("\n".join("| " + " | ".join(row) + " |" for row in rows), end="\n\n")


def cached_teacher(data: str) -> rs.Teacher:
    """The teacher that encoding_matrix.py fine-tuned."""
    return rs.Teacher.from_pretrained(encoding_matrix.OUT / f"teacher-{data}")


def study(data: str, kind: str) -> str:
    """URL of a study."""
    return restore(journal(data, kind), kind, OUT / data / kind)


def main() -> None:
    """One step."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    steps = {
        **dict.fromkeys(KINDS, run),
        "confirm": confirm,
        "export": export,
        "table": table,
    }
    parser.add_argument("step", choices=steps)
    parser.add_argument("data", choices=SETTINGS)
    parser.add_argument("--candidates", type=int, default=150, help="total of the study")
    confirmed = parser.add_argument_group("confirm")
    confirmed.add_argument("--best", type=int, default=BEST, help=f"of each study, up to {BEST}")
    confirmed.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args()
    steps[options.step](options)


if __name__ == "__main__":
    main()
