"""Agreement with TextAttack on real texts: verdicts, perturbed texts and query counts.

Needs the extra ``textattack`` and prints one table:

    python benchmarks/textattack_agreement.py --data FILE.tsv --model FOLDER

FILE.tsv has a label and a text on each line, a tab between; FOLDER holds a classifier and its
tokenizer as from_pretrained reads them. Random draws of ours are plugged into TextAttack; both
sides have the same word vectors, a random table of every second word, and no sentence encoder.
Every disagreement must go away where TextAttack sorts stably and a text has the same scores
whatever batch it comes in: then it was a tie. One that does not is an error.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import types
from pathlib import Path
from typing import Any

import rosearch.student  # noqa: F401 - registers students with AutoModel
from rosearch.attack.textattack.loading import load_textattack, undisturbed


def helpers(name: str) -> Any:
    """A module of the tests, which hold what puts both sides together."""
    if "tests" not in sys.modules:
        # Some packages install a top-level "tests" of their own, which would be found first.
        package = types.ModuleType("tests")
        package.__path__ = [str(Path(__file__).parents[1] / "tests")]
        sys.modules["tests"] = package
    return importlib.import_module(f"tests.attack.textattack.{name}")


def main() -> None:
    """Attack with both, one recipe after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--examples", type=int, default=200)
    names = ["pwws", "deepwordbug", "textbugger", "pruthi"]
    parser.add_argument("--recipes", nargs="+", default=names, choices=names)
    parser.add_argument("--max-length", type=int, default=64, help="tokens; TextAttack pads to it")
    options = parser.parse_args()
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    textattack: Any = load_textattack()
    textattack.shared.logger.setLevel("ERROR")
    lines = options.data.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t", 1) for line in lines if "\t" in line][: options.examples]
    texts, labels = [text for _, text in rows], [int(label) for label, _ in rows]
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    tokenizer.model_max_length = options.max_length
    model = AutoModelForSequenceClassification.from_pretrained(options.model).eval()
    model.tokenizer = tokenizer
    theirs = textattack.models.wrappers.HuggingFaceModelWrapper(model, tokenizer)
    print(
        f"{'recipe':12} {'examples':>8} {'same':>6} {'same queries':>12} {'ties':>5} {'seconds':>8}"
    )
    for name in options.recipes:
        make = getattr(helpers("counterparts"), name)
        with undisturbed():  # some parts would download what is here already
            pair = make(textattack, texts) if name == "textbugger" else make(textattack)
        begun = time.perf_counter()
        with undisturbed():
            found = helpers("agreement").compare(
                textattack, pair.attack, pair.build, texts, labels, model, theirs, pair.before
            )
        same = sum(ours[:2] == other[:2] for ours, other in found)
        queries = sum(ours[2] == other[2] for ours, other in found)
        ties = sum(ours != other for ours, other in found)
        seconds = time.perf_counter() - begun
        print(
            f"{name:12} {len(texts):8} {same / len(texts):6.1%} {queries / len(texts):12.1%} "
            f"{ties:5} {seconds:8.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
