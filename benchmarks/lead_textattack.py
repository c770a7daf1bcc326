"""The fittest student that a search of lead_search.py found, under TextAttack itself and rosearch.

    make install-textattack
    PYTHONPATH=. .venv-textattack/bin/python benchmarks/lead_textattack.py movies

Needs the folders that ``lead_search.py confirm`` leaves. It attacks the first training of the first
genome, on the same test texts, and writes the committed file.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import json
from importlib.metadata import version
from typing import Any

from encoding_matrix import MAIN, splits
from first_search import left_by_textattack
from journals import DATA
from lead_confirmed import confirmed
from lead_search import OUT

import rosearch as rs

STUDENT = "search 1"


def main() -> None:
    """Attack with both and write what is left."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", choices=("movies", "news"))
    parser.add_argument("--examples", type=int, default=500)
    options = parser.parse_args()
    one = confirmed(options.data)[STUDENT]
    seed = one["runs"][0]["seed"]
    key = rs.Genome.from_dict(one["genome"]).key
    folder = OUT / options.data / "students" / f"{key}-{seed}"
    student: Any = rs.StudentForSequenceClassification.from_pretrained(folder).eval()
    test = splits(options.data)[2].select(range(options.examples))
    attacker = rs.RobustnessEvaluator(MAIN, test, examples=None, progress=False)
    ours = attacker.evaluate(student)
    found: dict[str, Any] = {"student": STUDENT, "seed": seed, "examples": len(test)}
    found["rosearch"] = {
        "accuracy": ours.accuracy,
        **{f"under_{name}": ours.attacks[name].accuracy_under_attack for name in MAIN},
    }
    theirs = left_by_textattack(student, test)
    found["textattack"] = {"version": version("textattack"), **theirs}
    print(found)
    (DATA / f"lead-{options.data}-textattack.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
