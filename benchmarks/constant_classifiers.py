"""Random genomes under worst-case word substitution: how many end as constant classifiers.

A classifier that always gives the same answer is changed by no attack, so that robust training may
end there. Distils random samples of the default space (of at most 10 million FLOPs) on movie-review
sentences, plainly and with ``WordPerturbation`` at its default settings, and prints for each the
accuracy on the dev sentences, and the recall of the worse class and the share of the more frequent
answer there. Where no epoch of full weight is better than a constant classifier, the student is
that of an epoch before; these are counted, too:

    python benchmarks/constant_classifiers.py       # after make demo, which makes the teacher
    python benchmarks/constant_classifiers.py --genomes 5 --gradient previous --no-plain

What is done is kept in the folder --out, so that a stopped run goes on where it was.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from material import cached_teacher, materials

import rosearch as rs
from rosearch.attack import WordReplacements
from rosearch.distill import WordPerturbation
from rosearch.tokens import max_tokens, predict, tokenize

CONSTANT = 0.99
"""Share of one answer from which a classifier counts as constant."""


def main(line: list[str] | None = None) -> None:
    options = arguments(line)
    options.out.mkdir(parents=True, exist_ok=True)
    teacher, train, dev = material(options)
    space = rs.SearchSpace(teacher=teacher, flops=(None, options.flops))
    robust = WordPerturbation(WordReplacements(options.attacks), gradient=options.gradient)
    kinds = {"plain": None, f"words, {options.gradient} gradient": robust}
    for kind, perturbation in list(kinds.items())[not options.plain :]:
        distiller = rs.Distiller(
            teacher, train, dev, epochs=options.epochs, perturbation=perturbation, progress=False
        )
        found = []
        for seed in range(options.genomes):
            genome = space.sample(seed=seed)
            found.append(once(distiller, genome, seed, dev, options.out / f"{kind}-{seed}.json"))
            values = ", ".join(f"{name} {value:.3f}" for name, value in found[-1].items())
            print(f"{kind}, genome {seed}, {len(genome.nodes)} nodes: {values}", flush=True)
        print(f"{kind}: {summary(found)}\n")


def material(options: argparse.Namespace) -> tuple[rs.Teacher, rs.TextDataset, rs.TextDataset]:
    """Teacher, and the sentences to train on and to judge by."""
    teacher = rs.Teacher.from_pretrained(options.teacher or cached_teacher())
    train, dev, _ = materials.movie_reviews().split(0.7, 0.15, 0.15, seed=0)
    return teacher, train.select(range(min(options.train, len(train)))), dev


def once(
    distiller: rs.Distiller, genome: rs.Genome, seed: int, dev: rs.TextDataset, path: Path
) -> dict[str, float]:
    """What a genome ends as, or what is kept of it."""
    settings = json.dumps([distiller.settings, genome.key], sort_keys=True, default=str)
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if kept["settings"] == settings:
            return dict(kept["found"])
    result = distiller.distill(genome, seed=seed)
    student = result.student
    right = np.array(dev.labels)
    tokenizer: Any = student.tokenizer
    rows = tokenize(tokenizer, dev.texts, max_length=max_tokens(student, tokenizer))
    answers = predict(student, rows, pad_id=tokenizer.pad_token_id).argmax(axis=1)
    recalls = [float((answers[right == label] == label).mean()) for label in np.unique(right)]
    found = {
        "accuracy": float((answers == right).mean()),
        "worst class": min(recalls),
        "one answer": float(np.bincount(answers).max() / len(answers)),
        "epoch before": float(not result.best.counted),
    }
    path.write_text(json.dumps({"settings": settings, "found": found}), encoding="utf-8")
    return found


def summary(found: list[dict[str, float]]) -> str:
    """How many are constant, and what the others are."""
    constant = sum(one["one answer"] >= CONSTANT for one in found)
    accuracies = [one["accuracy"] for one in found]
    worst = min(one["worst class"] for one in found)
    before = sum(one["epoch before"] for one in found)
    return (
        f"{constant} of {len(found)} constant, {before:.0f} from an epoch before; "
        f"accuracy {min(accuracies):.3f} to {max(accuracies):.3f}, median "
        f"{np.median(accuracies):.3f}; least recall of a class {worst:.3f}"
    )


def arguments(line: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--teacher", type=Path, help="a fine-tuned classifier; default: the demo's")
    parser.add_argument("--out", type=Path, default=Path("runs/constant-classifiers"))
    parser.add_argument("--genomes", type=int, default=30)
    parser.add_argument("--train", type=int, default=1200, help="sentences to distil on")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--flops", type=float, default=10e6, help="most of a genome")
    parser.add_argument("--attacks", nargs="+", default=["pwws", "deepwordbug"])
    parser.add_argument("--gradient", choices=["current", "previous"], default="current")
    parser.add_argument("--plain", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args(line)


if __name__ == "__main__":
    main()
