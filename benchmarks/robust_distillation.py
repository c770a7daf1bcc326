r"""Plain against robust distillation: accuracy, accuracy under attack, and what it costs.

Distils students on movie reviews plainly and with each option of robust distillation, attacks them
on test sentences that no training has seen, and prints one Markdown table of means and standard
deviations over seeds:

- augmentation: one copy of each text, a fifth of its words replaced by PWWS's synonyms and
  DeepWordBug's misspellings, trained to the teacher's answers for the copy;
- redrawn: four copies, others in each epoch, trained to the answers for the original;
- adversary: attacks on the student before each epoch from the second on; adversarial texts join the
  training, once with PWWS and once with DeepWordBug, so that each is judged by the other too;
- perturbation: FreeLB, three passes a step;
- words: every step also on worst-case word substitutions of its texts, to first order, by
  PWWS's synonyms and DeepWordBug's misspellings; "words, pwws" by synonyms only, at less weight;
  "previous gradient" in one pass a step. They need more training than the others, or students
  become constant classifiers:

    python benchmarks/robust_distillation.py      # after make demo, which makes the teacher
    python benchmarks/robust_distillation.py --students TextCNN --seeds 1 --train 1000
    python benchmarks/robust_distillation.py --students "bag of words" TextCNN --epochs 12 \
        --learning-rate 3e-3 --variants plain "words, pwws"
    python benchmarks/robust_distillation.py --students TextCNN transformer --train 1200 \
        --epochs 6 --learning-rate 2e-3 --encodings spelling --examples 500 \
        --variants plain "words, pwws" "words, pwws, previous gradient"

Runs that are done are kept in the folder --out, so that a stopped benchmark goes on where it was.
Runs with other settings are done again. Seconds are the process's processor time of the training
itself, because the machine may be busy: encodings are fitted and replacements looked up once for
all students. Those in the last columns are wall time.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from material import cached_teacher, materials
from transformers import TrainerCallback

import rosearch as rs
from rosearch.attack import AdversarialTexts, SubstitutionAugmentation, WordReplacements
from rosearch.distill import EmbeddingPerturbation, WordPerturbation
from rosearch.space import templates

COSTS = ("perturbed_texts", "augmentation_seconds", "attack_seconds", "teacher_seconds")


VARIANTS = (
    "plain",
    "augmentation",
    "redrawn",
    "adversary, pwws",
    "adversary, deepwordbug",
    "perturbation",
    "words",
    "words, pwws",
    "words, previous gradient",
    "words, pwws, previous gradient",
)


class Clock(TrainerCallback):
    """Processor seconds of the last training."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Start."""
        self.seconds = -time.process_time()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Stop."""
        self.seconds += time.process_time()


def added(variant: str, share: float, weight: float | None = None) -> dict[str, Any]:
    """What a way to train adds to a Distiller."""
    both = ["pwws", "deepwordbug"]
    if variant == "augmentation":
        return {"augmentation": SubstitutionAugmentation(both)}
    if variant == "redrawn":
        redrawn = SubstitutionAugmentation(both, copies=4, redraw=True, answers="original")
        return {"augmentation": redrawn}
    if variant.startswith("adversary, "):
        attack = variant.removeprefix("adversary, ")
        return {"adversary": AdversarialTexts(attack, share=share, keep=True)}
    if variant == "perturbation":
        return {"perturbation": EmbeddingPerturbation()}
    if variant.startswith("words"):
        attacks, default = ("pwws", 0.8) if "pwws" in variant else (both, 0.9)
        gradient = "previous" if variant.endswith("previous gradient") else "current"
        weight = default if weight is None else weight
        given = {"weight": weight, "learnt": 0.0, "gradient": gradient}
        return {"perturbation": WordPerturbation(WordReplacements(attacks), **given)}
    return {}


def main(line: list[str] | None = None) -> None:
    options = arguments(line)
    options.out.mkdir(parents=True, exist_ok=True)
    teacher, train, dev, test = material(options)
    teacher.logits(train, progress=False)  # paid once by all, and no variant's time
    attacked = dev if options.dev else test
    evaluator = rs.RobustnessEvaluator(
        options.attacks, attacked, examples=options.examples, progress=False
    )
    rows = []
    for variant in options.variants:
        distiller = rs.Distiller(
            teacher,
            train,
            dev,
            epochs=options.epochs,
            learning_rate=options.learning_rate,
            callbacks=[Clock()],
            progress=False,
            **added(variant, options.share, options.weight),
        )
        for student in options.students:
            runs = []
            for seed in range(options.seeds):
                runs.append(once(distiller, evaluator, student, variant, seed, options))
                print(summary(student, variant, seed, runs[-1]), flush=True)
            rows.append((student, variant, runs))
    rows.sort(key=lambda row: options.students.index(row[0]))
    part = "dev" if options.dev else "test"
    print(f"\n{len(train)} sentences, {options.epochs} epochs, {options.seeds} seeds, "
          f"{options.examples} {part} sentences attacked; constant classifier "
          f"{100 * rows[0][2][0]['constant']:.1f}, worst class 0\n")  # fmt: skip
    print(table(rows, options.attacks))


def arguments(line: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--teacher", type=Path, help="a fine-tuned classifier; default: the demo's")
    parser.add_argument("--out", type=Path, default=Path("runs/robust-distillation"))
    parser.add_argument("--students", nargs="+", choices=list(templates.SMALL),
                        default=["transformer", "TextCNN", "bag of words"])  # fmt: skip
    parser.add_argument("--encodings", nargs="*", default=[], help="names, with their defaults")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train", type=int, default=3000, help="sentences to distil on")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--share", type=float, default=0.3, help="sentences attacked an epoch")
    parser.add_argument("--weight", type=float, help="of word substitutions, instead of the above")
    parser.add_argument("--examples", type=int, default=200, help="sentences to attack")
    parser.add_argument("--dev", action="store_true", help="attack dev sentences, to choose by")
    parser.add_argument("--attacks", nargs="+", default=["pwws", "deepwordbug"])
    return parser.parse_args(line)


def material(
    options: argparse.Namespace,
) -> tuple[rs.Teacher, rs.TextDataset, rs.TextDataset, rs.TextDataset]:
    """Teacher, and the sentences to train on, to choose the epoch by, and to attack."""
    teacher = rs.Teacher.from_pretrained(options.teacher or cached_teacher())
    train, dev, test = materials.movie_reviews().split(0.7, 0.15, 0.15, seed=0)
    return teacher, train.select(range(min(options.train, len(train)))), dev, test


def once(
    distiller: rs.Distiller,
    evaluator: rs.RobustnessEvaluator,
    student: str,
    variant: str,
    seed: int,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """One student, distilled and attacked, or what is kept of it."""
    encodings = tuple(rs.TextEncoding(name) for name in options.encodings)
    genome = replace(templates.SMALL[student](), encodings=encodings)
    settings = [distiller.settings, dict(evaluator.settings), genome.key, seed, "worst class"]
    text = json.dumps(settings, sort_keys=True, default=str)
    key = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    weight = f"-weight-{options.weight}" if options.weight is not None else ""
    on = "-dev" if options.dev else ""
    name = f"{student}-{variant}{weight}{on}-{seed}".replace(", ", "-").replace(" ", "-")
    path: Path = options.out / f"{name}.json"
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if kept["key"] == key:
            return kept
    result = distiller.distill(genome, seed=seed)
    (clock,) = distiller.callbacks
    report = evaluator.evaluate(result.student)
    run = {
        "key": key,
        "dev": result.accuracy,
        "test": report.accuracy,
        **{name: one.accuracy_under_attack for name, one in report.attacks.items()},
        **{f"{name}, worst": one.worst_class(2) for name, one in report.attacks.items()},
        "constant": constant(report),
        "plain epoch": not result.best.counted,
        "seconds": clock.seconds,
        **result.cost,
    }
    path.write_text(json.dumps(run), encoding="utf-8")
    return run


def constant(report: rs.RobustnessReport) -> float:
    """Accuracy of always answering the most frequent class of the attacked sentences."""
    first = next(iter(report.attacks.values()))
    counts = np.bincount([result.label for result in first.examples])
    return float(counts.max() / counts.sum())


def summary(student: str, variant: str, seed: int, run: dict[str, Any]) -> str:
    shown = {
        k: v
        for k, v in run.items()
        if k not in ("key", "dev", "plain epoch", *COSTS, "training_seconds")
    }
    values = ", ".join(f"{name} {value:.3g}" for name, value in shown.items())
    return f"{student}, {variant}, seed {seed}: {values}"


def table(rows: Sequence[tuple[str, str, list[dict[str, Any]]]], attacks: Sequence[str]) -> str:
    """One line a student and variant, as Markdown."""
    under = [head for a in attacks for head in (f"under {a}", "worst class")]
    heads = ["student", "training", "dev", "attacked, before", *under, "seconds", "times plain",
             *(cost.replace("_", " ") for cost in COSTS)]  # fmt: skip
    lines = [f"| {' | '.join(heads)} |", "|---|---|" + "---:|" * (len(heads) - 2)]
    plain = {
        student: mean(runs, "seconds") for student, variant, runs in rows if variant == "plain"
    }
    for student, variant, runs in rows:
        names = [name for a in attacks for name in (a, f"{a}, worst")]
        shares = [spread(runs, name) for name in ("dev", "test", *names)]
        times = f"{mean(runs, 'seconds') / plain[student]:.1f}" if student in plain else ""
        costs = [f"{mean(runs, cost):,.0f}" for cost in COSTS]
        if any(run["plain epoch"] for run in runs):
            variant += " (some from before its full weight)"
        cells = [student, variant, *shares, f"{mean(runs, 'seconds'):.0f}", times, *costs]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def mean(runs: Sequence[dict[str, Any]], name: str) -> float:
    return float(np.mean([run[name] for run in runs]))


def spread(runs: Sequence[dict[str, Any]], name: str) -> str:
    """Mean and, of several runs, standard deviation, in percent."""
    values = 100 * np.array([run[name] for run in runs])
    deviation = f" ± {values.std(ddof=1):.1f}" if len(values) > 1 else ""
    return f"{values.mean():.1f}{deviation}"


if __name__ == "__main__":
    main()
