"""How the students of movie reviews are certified, and what intervals of their graphs add.

    python benchmarks/encoding_matrix.py teachers    # fine-tunes the teachers
    python benchmarks/certificates.py run            # trains six students; half an hour
    python benchmarks/certificates.py table

Certificates are those of PWWS, on unseen sentences. ``table`` prints the committed shares.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import json
import time
from collections import Counter
from typing import Any

import encoding_matrix
from encoding_matrix import SPELLING, Row, classes, distiller, splits
from exact_models import steps
from journals import DATA
from lead_search import cached_teacher

import rosearch as rs
from rosearch.attack import certify
from rosearch.attack.text import AttackedInput

FILE = DATA / "certificates.json"
EXAMPLES = 500
ENCODINGS = (SPELLING, classes(0.1))
BOUNDS = (0.1, 0.5, None)
KINDS = {
    "TextCNN": rs.templates.text_cnn,
    "bag of words": rs.templates.bag_of_words,
}
REASONS = ("sum", "bound", "enumeration", "intervals")
COMBINATIONS = 1000


def run() -> None:
    """Train and certify each student, and write the shares of methods."""
    teacher = cached_teacher("movies")
    _, _, test = splits("movies")
    attacked = test[:EXAMPLES]
    one = distiller("movies", teacher, Row(ENCODINGS, bound=1.0))
    found: list[dict[str, Any]] = []
    for bound in BOUNDS:
        for name, make in KINDS.items():
            genome = make(encodings=ENCODINGS, bound=bound)
            student = one.distill(genome, seed=0).student
            evaluator = rs.RobustnessEvaluator(
                ["pwws"], attacked, examples=EXAMPLES, progress=False
            )
            start = time.process_time()
            shares = certified(evaluator, student, attacked)
            found.append(
                {
                    "graph": name,
                    "bound": bound,
                    "accuracy": encoding_matrix.accuracy(student, test),
                    "shares": shares,
                    "seconds": time.process_time() - start,
                    "under": evaluator.evaluate(student).accuracy_under_attack,
                }
            )
            print(found[-1], flush=True)
    FILE.write_text(json.dumps(found, indent=1) + "\n")


def certified(
    evaluator: rs.RobustnessEvaluator, student: Any, texts: rs.TextDataset
) -> dict[str, float]:
    """Share of texts that are certified by each method, and of those decided by none."""
    victim = evaluator.victim(student)
    [attack] = evaluator.attacks
    right = victim.probabilities(texts.texts).argmax(axis=1) == texts.labels
    seen: Counter[str] = Counter()
    for text, label, is_right in zip(texts.texts, texts.labels.tolist(), right, strict=True):
        if is_right:
            one = certify(victim, attack, AttackedInput(text), label, limit=COMBINATIONS)
            seen["undecided" if one.holds is None else one.reason if one.holds else "false"] += 1
    return {name: seen[name] / len(texts) for name in (*REASONS, "undecided")}


def table() -> list[list[str]]:
    """Per cent, a row for each student."""
    rows = [["graph", "bound", "accuracy", "under PWWS", *REASONS, "undecided"]]
    for one in json.loads(FILE.read_text()):
        figures = [one["accuracy"], one["under"], *one["shares"].values()]
        bound = "none" if one["bound"] is None else f"{one['bound']:g}"
        rows.append([one["graph"], bound, *(f"{100 * figure:.1f}" for figure in figures)])
    return rows


if __name__ == "__main__":
    steps(__doc__ or "", run, table)
