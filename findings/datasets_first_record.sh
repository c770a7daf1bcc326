#!/usr/bin/env bash
# Dataset.from_list takes the columns of the first record: a key that the first record lacks is
# dropped from all others, without a word. Dataset.from_generator does the same, and so does
# Dataset.map with the columns that a function returns. With the records in the other order
# from_list keeps the column.
# Versions: datasets 5.2.0.
# Why it matters: records of texts and pairs, of texts with and without a teacher's output, or of
# attacks that failed and succeeded, have such keys. Which columns there are depends on the order
# of the records, hence on the shuffle.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet datasets==5.2.0
HF_HOME="$folder/cache" HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - <<'EOF'
import sys

import datasets
from datasets import Dataset

datasets.disable_progress_bars()
records = [
    {"text": "good", "label": 1},
    {"text": "bad", "label": 0, "teacher": [0.9, 0.1]},
]


def generated(order):
    yield from (records[i] for i in order)


def with_teacher(record):
    return {} if record["label"] else {"teacher": [0.9, 0.1]}


seen = {
    "from_list": Dataset.from_list(records).column_names,
    "from_list, other order": Dataset.from_list(records[::-1]).column_names,
    "from_generator": Dataset.from_generator(generated, gen_kwargs={"order": (0, 1)}).column_names,
    "map": Dataset.from_list(records).map(with_teacher).column_names,
}
for way, columns in seen.items():
    print(f"{way:23} {columns}")
two, three = ["text", "label"], ["text", "label", "teacher"]
if list(seen.values()) != [two, three, two, two]:
    sys.exit("the columns differ from those that were found")
EOF
