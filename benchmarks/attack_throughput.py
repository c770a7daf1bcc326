"""TextAttack 0.3.11 against rosearch: same victims, same sentences, same recipe, one run.

    python benchmarks/attack_throughput.py                  # after make peers, in .venv-peers
    python benchmarks/attack_throughput.py --real           # the quickstart's student and teacher
    python benchmarks/attack_throughput.py --model FOLDER --data FILE.tsv

TextAttack runs twice: as shipped (its wrapper pads every text to the tokenizer's maximum), on a few
examples, and as well as it can be made (padded to the longest of a batch, at most 64 tokens,
inference mode). rosearch runs in float32 and with searches screened in bfloat16. The limit is the
bare forward passes over the distinct rows of the float32 run, longest together, at the best batch
size. Every side runs several times, in turn; the least time counts. Prints one table; where
TextAttack is not installed, with rosearch's sides alone.

Without arguments a 3-layer BERT of width 160 with random weights reads made-up sentences.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import attack_engine
import torch

import rosearch as rs
from rosearch.attack import ModelVictim
from rosearch.attack.textattack import load_textattack
from rosearch.attack.textattack.loading import undisturbed
from rosearch.tokens import predict

RECIPES = {"pwws": "PWWSRen2019", "deepwordbug": "DeepWordBugGao2018"}
LENGTH = 64


@dataclass
class Side:
    """One contestant and what came of it."""

    name: str
    run: Callable[[], tuple[int, list[str]]]
    """Attacks; returns forward rows and verdicts."""
    examples: int
    seconds: float = float("inf")
    rows: int = 0
    verdicts: list[str] | None = None

    @property
    def rate(self) -> float:
        """Examples a second."""
        return self.examples / self.seconds

    def measure(self) -> None:
        """Run once; the least time stays."""
        begun = time.perf_counter()
        self.rows, verdicts = self.run()
        self.seconds = min(self.seconds, time.perf_counter() - begun)
        self.verdicts = verdicts


def textattack_side(
    model: Any, tokenizer: Any, examples: Any, recipe: str, *, shipped: bool
) -> Callable[[], tuple[int, list[str]]]:
    """TextAttack over ``examples``."""
    textattack = load_textattack()
    textattack.shared.logger.setLevel("ERROR")
    build = getattr(textattack.attack_recipes, RECIPES[recipe]).build
    base = textattack.models.wrappers.HuggingFaceModelWrapper

    class Counting(base):  # type: ignore[valid-type, misc]
        rows = 0

        def __call__(self, texts: list[str]) -> Any:
            self.rows += len(texts)
            if shipped:
                return super().__call__(texts)
            inputs = self.tokenizer(
                texts, padding=True, truncation=True, max_length=LENGTH, return_tensors="pt"
            )
            with torch.inference_mode():
                return self.model(**inputs).logits.softmax(dim=1)

    names = {"Skipped": "skipped", "Success": "succeeded", "Failed": "failed"}

    def run() -> tuple[int, list[str]]:
        wrapper = Counting(model, tokenizer)
        with undisturbed():  # some parts would download what is here already
            attack = build(wrapper)
        verdicts = []
        for example in examples:
            kind = type(attack.attack(example.text, example.label)).__name__
            verdicts.append(next(v for k, v in names.items() if kind.startswith(k)))
        return wrapper.rows, verdicts

    return run


def rosearch_side(
    model: Any, tokenizer: Any, evaluator: rs.RobustnessEvaluator
) -> Callable[[], tuple[int, list[str]]]:
    """The evaluator of rosearch over the evaluator's examples."""

    def run() -> tuple[int, list[str]]:
        report = evaluator.evaluate(model, tokenizer)
        return report.forward_rows, [result.status for result in report.examples]

    return run


def contest(model: Any, tokenizer: Any, data: Any, options: Any) -> list[Side]:
    """All sides of one victim and recipe, measured.

    TextAttack well made comes first where it is installed, the bare forward passes last.
    """
    settings = {"max_length": LENGTH, "skip_truncated": False, "progress": False}
    settings["examples"] = options.examples
    evaluator = rs.RobustnessEvaluator(options.recipe, data, **settings)
    screened = rs.RobustnessEvaluator(options.recipe, data, precision="bfloat16", **settings)
    examples = evaluator.examples
    recorder = attack_engine.Recorder(model, tokenizer, max_length=LENGTH)
    evaluator.evaluate(recorder)
    rows, pad_id = recorder.rows, recorder.tokens.pad_id

    def bare(budget: int) -> Callable[[], tuple[int, list[str]]]:
        def run() -> tuple[int, list[str]]:
            predict(model, rows, pad_id=pad_id, token_budget=budget)
            return len(rows), []

        return run

    def theirs(name: str, count: int, *, shipped: bool) -> list[Side]:
        if not count or importlib.util.find_spec("textattack") is None:
            return []
        chosen = examples[:count]
        run = textattack_side(model, tokenizer, chosen, options.recipe, shipped=shipped)
        return [Side(f"TextAttack {name}", run, len(chosen))]

    sides = [
        *theirs("well made", len(examples), shipped=False),
        Side("rosearch float32", rosearch_side(model, tokenizer, evaluator), len(examples)),
        Side("rosearch bfloat16", rosearch_side(model, tokenizer, screened), len(examples)),
    ]
    limits = [Side(f"bare forward {b}", bare(b), len(examples)) for b in options.budgets]
    for _ in range(options.repeats):
        for side in (*sides, *limits):
            side.measure()
    for side in theirs("shipped", options.shipped, shipped=True):
        side.measure()
        sides.insert(1, side)
    return [*sides, min(limits, key=lambda side: side.seconds)]


def rows_of(name: str, sides: list[Side]) -> list[list[str]]:
    """Of the table, for one victim."""
    first, limit = sides[0], sides[-1]
    table = []
    for side in sides:
        same = ""
        if side.verdicts:
            pairs = zip(side.verdicts, first.verdicts or (), strict=False)
            same = f"{sum(a == b for a, b in pairs)}/{side.examples}"
        table.append(
            [
                name,
                side.name,
                str(side.examples),
                f"{side.rate:.2f}",
                str(side.rows),
                f"{side.rate / first.rate:.2f}",
                f"{limit.rate / side.rate:.2f}",
                same,
            ]
        )
    return table


def labelled(model: Any, tokenizer: Any, data: rs.TextDataset) -> rs.TextDataset:
    """The texts with what the victim says of them, so that every example counts."""
    asked = ModelVictim(model, tokenizer, max_length=LENGTH).probabilities(data.texts)
    return rs.TextDataset(data.texts, asked.argmax(1).tolist(), classes=data.classes)


def victims(options: Any) -> tuple[Any, dict[str, tuple[Any, Any]]]:
    """Data, and models with their tokenizers by name."""
    if options.real:
        data, student = attack_engine.quickstart_material()
        found = {"student": (student, student.tokenizer)}
        import quickstart

        arguments = quickstart.arguments([])
        teacher, *_ = quickstart.load_teacher(arguments, *quickstart.splits(arguments)[:2])
        found["teacher"] = (teacher.model, teacher.tokenizer)
        return data, found
    data = attack_engine.read(options.data) if options.data else attack_engine.sentences(400)
    if options.model:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(options.model)
    else:
        tokenizer = attack_engine.word_tokenizer(data)
    model = attack_engine.classifier(options.model, tokenizer, len(data.classes))
    return data, {"victim": (model, tokenizer)}


def arguments(line: list[str] | None = None) -> argparse.Namespace:
    """What ``line`` says, or the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--shipped", type=int, default=5, help="examples of the shipped side")
    parser.add_argument("--recipe", choices=RECIPES, default="pwws")
    parser.add_argument("--real", action="store_true", help="the quickstart's student and teacher")
    parser.add_argument("--model", type=Path, help="folder with a classifier and its tokenizer")
    parser.add_argument("--data", type=Path, help="text file: label, tab, text")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--budgets", type=int, nargs="+", default=[1024, 2048, 4096])
    return parser.parse_args(line)


def main() -> None:
    """Measure and print."""
    options = arguments()
    if options.threads:
        torch.set_num_threads(options.threads)
    data, found = victims(options)
    head = "victim side examples per_second forward_rows ratio over_bare same_verdicts".split()
    table = [head]
    for name, (model, tokenizer) in found.items():
        model.eval()
        data = labelled(model, tokenizer, data)
        table += rows_of(name, contest(model, tokenizer, data, options))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


if __name__ == "__main__":
    main()
