#!/usr/bin/env bash
# Dataset.class_encode_column renumbers labels that were class numbers already: it sorts them as
# text, so that of the classes 0 to 19 the label 2 becomes 12 and the label 10 becomes 2; of
# ratings from 1 to 10 the label 10 comes right after 1. The classes 0 to 9 keep their numbers,
# which hides it in tests.
# Versions: datasets 5.2.0.
# Why it matters: a teacher trained on the original numbers (20 newsgroups, ratings of films) no
# longer agrees with the labels, and soft labels teach the student other classes than hard labels
# do. train_test_split(stratify_by_column=...) wants such a column.
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


def encoded(labels):
    return Dataset.from_dict({"label": labels}).class_encode_column("label")["label"][:]


seen = {count: encoded(list(range(count))) for count in (10, 11, 20)}
for count, labels in seen.items():
    same = sum(old == new for old, new in enumerate(labels))
    print(f"classes 0 to {count - 1}: {same} keep their number; {labels}")
print("ratings 1 to 10:", encoded(list(range(1, 11))))
moved = [0, 1, *range(12, 20), *range(2, 12)]
if seen[10] != list(range(10)) or seen[20] != moved:
    sys.exit("the numbers differ from those that were found")
EOF
