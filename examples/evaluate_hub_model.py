r"""Measure how robust a classifier, from the Hugging Face Hub or a folder, is to attacks.

    python examples/evaluate_hub_model.py
    python examples/evaluate_hub_model.py textattack/bert-base-uncased-SST-2 \
        --dataset glue:sst2 --text-column sentence --split validation
    python examples/evaluate_hub_model.py runs/quickstart/best --recipes pwws pruthi

The first command attacks the quickstart's MiniLM teacher on movie reviews (a few minutes on two
cores, more if the teacher has to be fine-tuned). Prints a table and some adversarial texts with the
changes in colour, and writes everything as JSON. `rosearch attack` does the same from a shell.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import quickstart  # beside this file
import searching
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import rosearch as rs
from rosearch.classifiers import accuracy
from rosearch.tokens import default_device


def main(line: Sequence[str] | None = None) -> None:
    """Attack the model that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", nargs="?", help="name on the Hub, or folder; default: a MiniLM")
    parser.add_argument("--dataset", help="data set on the Hub, NAME or NAME:CONFIGURATION")
    parser.add_argument("--split", default="test", help="of a data set of the Hub")
    parser.add_argument("--text-column", default="text", help="two with a comma for pairs")
    parser.add_argument("--label-column", default="label")
    parser.add_argument("--recipes", nargs="+", default=["pwws", "deepwordbug", "pruthi"])
    parser.add_argument("--examples", type=int, default=100, help="how many texts to attack")
    parser.add_argument("--shown", type=int, default=3, help="broken texts to show")
    parser.add_argument("--json", type=Path, default=Path("runs/robustness.json"))
    options = parser.parse_args(line)

    data = dataset(options)
    model, tokenizer = classifier(options)
    evaluator = rs.RobustnessEvaluator(options.recipes, data, examples=options.examples)
    report = evaluator.evaluate(model, tokenizer)

    whole = accuracy(model, data, tokenizer)
    print(f"accuracy {whole:.1%} of {len(data)} texts, {report.accuracy:.1%} of the", end=" ")
    print(f"{report.n} attacked\n")
    print("recipe        under attack  95 % interval    success  queries  changed  seconds")
    together = {"all together": report} if len(report.attacks) > 1 else {}
    for name, one in {**report.attacks, **together}.items():
        low, high = one.accuracy_under_attack_interval
        print(
            f"{name:13} {one.accuracy_under_attack:12.1%} {low:6.1%} to {high:6.1%} "
            f"{one.attack_success_rate:9.1%} {one.mean_queries:8.1f} {one.mean_changed:8.1%} "
            f"{one.seconds:8.1f}"
        )
    for result in [result for result in report.examples if result.broken][: options.shown]:
        before, after = (data.classes[k] for k in (result.label, result.perturbed_predicted or 0))
        print(f"\n{result.attack}, {before} became {after}:\n  {result.diff()}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(report.to_json(), encoding="utf-8")
    print(f"\nwritten: {options.json}  (RobustnessReport.from_json reads it)")


def dataset(options: argparse.Namespace) -> rs.TextDataset:
    """The texts: sentences that no example trains on, or a data set of the Hub."""
    if options.dataset is None:
        return quickstart.splits(quickstart.arguments([]))[2]
    from datasets import load_dataset

    name, _, configuration = options.dataset.partition(":")
    split = load_dataset(name, configuration or None, split=options.split)
    columns = tuple(options.text_column.split(","))
    text = columns[0] if len(columns) == 1 else columns
    return rs.TextDataset.from_hf(split, text=text, label=options.label_column)


def classifier(options: argparse.Namespace) -> tuple[Any, Any]:
    """The model, on the GPU where there is one, and its tokenizer."""
    if options.model is None:
        teacher, _, _ = searching.material(searching.parser("", out="runs").parse_args([]))
        return teacher.model, teacher.tokenizer
    model: Any = AutoModelForSequenceClassification.from_pretrained(options.model)
    tokenizer: Any = AutoTokenizer.from_pretrained(options.model)
    return model.to(default_device()).eval(), tokenizer


if __name__ == "__main__":
    main()
