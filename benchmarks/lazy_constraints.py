"""Attacks whose constraints run a model: asked about everything, and lazily, after the victim.

    python benchmarks/lazy_constraints.py                       # after make demo: its best student
    python benchmarks/lazy_constraints.py --model FOLDER --attacks textbugger --examples 100

Nothing is read from a cache on disk, so this is the cost of the first attack on these texts.
Processor seconds, because a shared machine's clock says little. Needs word vectors and a sentence
encoder; see ``rosearch resources``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import material  # noqa: F401 - makes the examples importable
from materials import movie_reviews
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import rosearch as rs
from rosearch.attack.resources.sentence_encoders import SentenceEncoder
from rosearch.attack.word_swaps.attack import WordSwapAttack

BEST = Path(__file__).parents[1] / "runs" / "quickstart" / "best"


def main() -> None:
    """Attack twice and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", type=Path, default=BEST, help="a classifier with its tokenizer")
    parser.add_argument("--attacks", nargs="+", default=["textbugger", "textfooler"])
    parser.add_argument("--examples", type=int, default=60)
    options = parser.parse_args()
    model = AutoModelForSequenceClassification.from_pretrained(options.model).eval()
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    data = movie_reviews().split(0.7, 0.15, 0.15, seed=0)[2]
    print("| attack | constraints | pairs encoded | rows | seconds | under attack | same |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for name in options.attacks:
        first: list[object] = []
        for how in ("first", "lazily"):
            encoder = SentenceEncoder(cache=False)
            encoder.compute([("warm", "up")])
            attack: WordSwapAttack = rs.attacks.get(name)(encoder=encoder)  # type: ignore[assignment]
            if how == "lazily":
                attack = attack.lazily()
            evaluator = rs.RobustnessEvaluator(
                attack, data, examples=options.examples, progress=False
            )
            begun = time.process_time()
            report = evaluator.evaluate(model, tokenizer)
            seconds = time.process_time() - begun
            found = [(r.status, r.perturbed) for r in report.examples]
            first = first or found
            same = sum(a == b for a, b in zip(first, found, strict=True))
            print(
                f"| {name} | {how} | {encoder.computed:,} | {report.forward_rows:,} "
                f"| {seconds:.1f} | {report.accuracy_under_attack:.1%} "
                f"| {same} of {len(found)} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
