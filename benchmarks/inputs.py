"""What each input is worth: accuracy, clean and under attack, of the same student with each.

Distils a TextCNN on movie reviews with every input that rosearch has (plain; smoothed over, or
with one code for, neighbours by the teacher's vectors and by WordNet; spelt in both ways), with
several seeds, and attacks the same test sentences. Prints one Markdown table, means and standard
deviations over seeds:

    python benchmarks/inputs.py      # after make demo, which makes the teacher
    python benchmarks/inputs.py --teacher FOLDER --seeds 5 --examples 200 --out runs/inputs

Students that are done are kept in the folder --out, so that a stopped run goes on where it was.
Settings that decide a figure are part of a file's name, so that no run reads another's.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from material import cached_teacher, materials

import rosearch as rs
from rosearch.classifiers import accuracy
from rosearch.operators import Vocabulary
from rosearch.space import Embedding
from rosearch.space.templates import text_cnn
from rosearch.student import EmbeddingNearestWords, WordNetNearestWords


@dataclass(frozen=True)
class Input:
    """One row of the table."""

    operator: str
    parameters: tuple[tuple[str, Any], ...] = ()
    nearest_words: str = ""

    @property
    def label(self) -> str:
        """The operator, what differs from its defaults, and who names neighbours."""
        values = [f"{key}={value}" for key, value in self.parameters]
        if self.nearest_words:
            values.append(f"nearest words by {self.nearest_words}")
        details = ", ".join(values)
        return f"`{self.operator}`" + (f", {details}" if details else "")


INPUTS = (
    Input("subword_embedding"),
    Input("neighbour_smoothed_embedding", nearest_words="embedding"),
    Input("neighbour_smoothed_embedding", nearest_words="wordnet"),
    Input("synonym_code_embedding", nearest_words="embedding"),
    Input("synonym_code_embedding", nearest_words="wordnet"),
    Input("character_embedding", (("split", "both"),)),
    Input("character_embedding", (("split", "spelling"),)),
)


def main() -> None:
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    teacher = rs.Teacher.from_pretrained(options.teacher or cached_teacher())
    train, dev, test = materials.movie_reviews().split(0.7, 0.15, 0.15, seed=0)
    train = train.select(range(min(options.train, len(train))))
    distillers = {
        source: rs.Distiller(
            teacher, train, dev, epochs=options.epochs, progress=False,
            nearest_words=WordNetNearestWords() if source == "wordnet" else None,
        )
        for source in ("", "embedding", "wordnet")
    }  # fmt: skip
    evaluator = rs.RobustnessEvaluator(
        options.attacks, test, examples=options.examples, progress=False
    )
    found: dict[Input, list[dict[str, float]]] = {row: [] for row in INPUTS}
    for seed in range(options.seeds):
        for row in INPUTS:
            path = options.out / f"{file_name(row, seed, options)}.json"
            if not path.exists():
                measured = measure(row, seed, distillers[row.nearest_words], evaluator, test)
                path.write_text(json.dumps(measured), encoding="utf-8")
            found[row].append(json.loads(path.read_text(encoding="utf-8")))
            print(f"seed {seed}, {row.label}: {found[row][-1]}", file=sys.stderr, flush=True)
    print(table(found, options))
    near = nearest(teacher, options.word)
    print(f"\nNearest to {options.word!r} by the teacher's vectors: {near}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--teacher", type=Path, help="a fine-tuned classifier; default: the demo's")
    parser.add_argument("--out", type=Path, default=Path("runs/inputs"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--train", type=int, default=2000, help="sentences to distil on")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--examples", type=int, default=100, help="test sentences to attack")
    parser.add_argument("--word", default="good", help="whose neighbours are shown")
    parser.add_argument("--attacks", nargs="+", default=["pwws", "deepwordbug"])
    return parser.parse_args()


def file_name(row: Input, seed: int, options: argparse.Namespace) -> str:
    chosen = [str(value) for _, value in row.parameters] + [row.nearest_words]
    sizes = [str(n) for n in (options.train, options.epochs, options.examples)]
    parts = [row.operator, *filter(None, chosen), *sizes, *options.attacks, f"seed-{seed}"]
    return "-".join(parts)


def measure(
    row: Input,
    seed: int,
    distiller: rs.Distiller,
    evaluator: rs.RobustnessEvaluator,
    test: rs.TextDataset,
) -> dict[str, float]:
    """One student: accuracy on all test sentences, and under each attack on some of them."""
    source = Embedding(row.operator, dict(row.parameters))
    genome = replace(text_cnn(), embedding=source)
    student = distiller.distill(genome, seed=seed).student
    report = evaluator.evaluate(student)
    return {
        "accuracy": accuracy(student, test),
        **{name: part.accuracy_under_attack for name, part in report.attacks.items()},
    }


def table(found: Mapping[Input, Sequence[Mapping[str, float]]], options: argparse.Namespace) -> str:
    """Markdown: shares in percent, mean and standard deviation over seeds."""
    columns = ["accuracy", *options.attacks]
    made = (
        f"{options.seeds} seeds, {options.train} sentences, {options.epochs} epochs; "
        f"{options.examples} test sentences attacked; {torch.get_num_threads()} thread(s), "
        f"{platform.machine()}, torch {torch.__version__}, transformers {transformers.__version__}"
    )
    lines = [
        made,
        "",
        f"| input | {' | '.join(columns)} |",
        f"|---|{'--:|' * len(columns)}",
    ]
    for row, measured in found.items():
        cells = [spread([100 * m[column] for m in measured]) for column in columns]
        lines.append(f"| {row.label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def nearest(teacher: rs.Teacher, word: str) -> str:
    """The five words nearest to ``word``, with their cosines."""
    tokens = teacher.embedding.tokens
    vocabulary = Vocabulary.of(teacher.tokenizer, size=len(tokens))
    words = list(vocabulary.words())
    found = EmbeddingNearestWords(vocabulary, tokens).neighbours(words, count=5)[words.index(word)]
    return ", ".join(f"{other} {cosine:.2f}" for other, cosine in found)


def spread(values: Sequence[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{deviation}"


if __name__ == "__main__":
    main()
