"""``python -m rosearch.attack.resources.counterfitting MODEL``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rosearch.attack.resources.counterfitting.models import counterfit_from_model
from rosearch.attack.resources.word_vectors import default_vectors


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m rosearch.attack.resources.counterfitting",
        description="Make word vectors from a model's word embeddings and WordNet.",
    )
    parser.add_argument("model", help="name or folder of a Hugging Face model")
    parser.add_argument("--wordnet", help="folder of WordNet's database")
    parser.add_argument("--out", type=Path, help="new folder for the vectors; default: the cache")
    options = parser.parse_args(arguments)
    target = options.out or default_vectors()
    if target.exists():
        print(f"{target} is there already; delete it first to replace it.", file=sys.stderr)  # noqa: T201
        return 1
    made = counterfit_from_model(options.model, wordnet=options.wordnet)
    made.save(target)
    print(f"{len(made)} words, width {made.matrix.shape[1]}: {target}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
