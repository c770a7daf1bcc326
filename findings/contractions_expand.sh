#!/usr/bin/env bash
# contractions.fix, which writes contractions out, also rewrites words that are none: "the shell
# was well made" becomes "the she will was well made", "a garden shed" becomes "a garden she
# would", and a sentence that ends in "mar." ends in a month. "ain't" is always "are not", "'s"
# after a pronoun always "is", "o'clock" "of the clock".
# Versions: contractions 0.1.73.
# Why it matters: the package is a usual first step before a classifier, and a cheap defence
# against attacks on contractions. It changes the meaning of clean texts before teacher and
# student see them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet contractions==0.1.73
"$folder/venv/bin/python" - <<'EOF'
import sys

import contractions

expected = {
    "the shell was well made": "the she will was well made",
    "a garden shed": "a garden she would",
    "the twist at ten o'clock": "the twist at ten of the clock",
    "he ain't funny": "he are not funny",
    "she's got it": "she is got it",
    "small lies mar. the film": "small lies march the film",
}
seen = {text: contractions.fix(text) for text in expected}
for text, fixed in seen.items():
    print(f"{text!r} -> {fixed!r}")
if seen != expected:
    sys.exit("the texts differ from those that were found")
EOF
