"""Classifiers that read encoded texts, attacked as a model and as a plain function, in one run.

    python benchmarks/encoded_attacks.py --teacher FOLDER     # first trains a TextCNN
    python benchmarks/encoded_attacks.py --students FOLDER FOLDER --teacher FOLDER

The victims are students, and the teacher behind the encoding of the first one. The plain function
encodes the texts, tokenizes them, and runs the model on batches padded to the longest text, in
inference mode. The two take turns; the least processor time of each counts. Prints, for each
attack, examples per processor second, rows that the model computed, and the ratio.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import encoding_matrix as matrix
import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import rosearch as rs
from rosearch.encode.tokenizer import encoding_of, plain_tokenizer

LENGTH = 128
BATCH = 64


def trained(teacher_folder: str, row: str) -> tuple[Any, Any]:
    """A TextCNN of the encoding matrix, trained for three epochs, and its tokenizer."""
    teacher = rs.Teacher.from_pretrained(teacher_folder)
    distiller = matrix.distiller("movies", teacher, matrix.ROWS[row], epochs=3, learning_rate=1e-3)
    student = distiller.distill(matrix.genome(matrix.ROWS[row], "movies")).student
    return student, student.tokenizer


def plain_function(model: Any, tokenizer: Any) -> Callable[[list[str]], np.ndarray]:
    """The model as people would write it: encode, tokenize, predict."""
    encoding, plain = encoding_of(tokenizer), plain_tokenizer(tokenizer)

    def logits(texts: list[str]) -> np.ndarray:
        read = texts if encoding is None else encoding(texts)
        parts = []
        for start in range(0, len(read), BATCH):
            inputs = plain(
                read[start : start + BATCH],
                padding=True,
                truncation=True,
                max_length=LENGTH,
                return_tensors="pt",
            )
            with torch.inference_mode():
                parts.append(model(**inputs).logits)
        return torch.cat(parts).numpy()

    return logits


def measured(evaluator: rs.RobustnessEvaluator, *victim: Any) -> tuple[float, Any]:
    """Processor seconds of an attack, and its report."""
    begun = time.process_time()
    report = evaluator.evaluate(*victim)
    return time.process_time() - begun, report


def compare(name: str, model: Any, tokenizer: Any, attack: str, options: Any) -> None:
    """Attack one victim in both ways and print the ratio."""
    test = matrix.splits("movies")[2]
    evaluator = rs.RobustnessEvaluator(
        attack, test, examples=options.examples, max_length=LENGTH, progress=False
    )
    sides = {"function": (plain_function(model, tokenizer),), "model": (model, tokenizer)}
    least = dict.fromkeys(sides, float("inf"))
    reports: dict[str, Any] = {}
    for _ in range(options.repeats):
        for side, victim in sides.items():
            seconds, reports[side] = measured(evaluator, *victim)
            least[side] = min(least[side], seconds)
    statuses = [[one.status for one in report.examples] for report in reports.values()]
    same = sum(a == b for a, b in zip(*statuses, strict=True))
    for side, seconds in least.items():
        print(
            f"{name:22} {attack:12} {side:9} {options.examples / seconds:8.2f} examples/s "
            f"{reports[side].forward_rows:7} rows  {least['function'] / seconds:5.2f} times  "
            f"{same}/{options.examples} same verdicts",
            flush=True,
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--teacher", help="folder of a teacher of the encoding matrix")
    parser.add_argument("--students", nargs="+", default=[], help="folders of trained students")
    parser.add_argument("--row", default="spelling, classes 0.1", choices=matrix.ROWS)
    parser.add_argument("--attacks", nargs="+", default=["pwws", "deepwordbug"])
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    victims: dict[str, tuple[Any, Any]] = {}
    for folder in options.students:
        model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        victims[Path(folder).name] = model, AutoTokenizer.from_pretrained(folder)
    teacher = options.teacher or (None if victims else str(matrix.OUT / "teacher-movies"))
    if teacher and not victims:
        victims["TextCNN"] = trained(teacher, options.row)
    if teacher:
        whole, (_, tokenizer) = rs.Teacher.from_pretrained(teacher), next(iter(victims.values()))
        victims["teacher"] = whole.model, tokenizer
    print(f"{options.examples} sentences, one thread, load {os.getloadavg()[0]:.1f}")
    for name, (model, tokenizer) in victims.items():
        for attack in options.attacks:
            compare(name, model, tokenizer, attack, options)


if __name__ == "__main__":
    main()
