#!/usr/bin/env bash
# SymSpell with the dictionary that symspellpy brings "corrects" negations that lack their
# apostrophe into other words: "dont" becomes "done", "wasnt" "want", "didnt" "didst", "arent"
# "agent", "havent" "haven", "isnt" "int". All contractions of the dictionary have the same count
# of 300,000, so that of the words at one letter's distance almost any other wins. Capital letters
# are edits too: "GREAT" is five letters from "great", and nothing is found for it.
# Versions: symspellpy 6.10.1 (frequency_dictionary_en_82_765.txt).
# Why it matters: it is a common defence against attacks on letters. In informal texts that nobody
# attacked it takes out the negation, and the classifier reads the opposite.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet symspellpy==6.10.1
"$folder/venv/bin/python" - <<'EOF'
import sys
from importlib.resources import files

from symspellpy import SymSpell, Verbosity

speller = SymSpell(max_dictionary_edit_distance=2)
dictionary = files("symspellpy") / "frequency_dictionary_en_82_765.txt"
speller.load_dictionary(str(dictionary), term_index=0, count_index=1)


def corrected(word):
    found = speller.lookup(word, Verbosity.TOP, max_edit_distance=2)
    return found[0].term if found else None


words = "don't can't won't isn't wasn't aren't weren't didn't doesn't haven't hasn't hadn't".split()
seen = {word: corrected(word.replace("'", "")) for word in words}
for word, other in seen.items():
    print(f"{word.replace(chr(39), ''):7} -> {other}")
lost = [word for word, other in seen.items() if other not in (word, word.replace("'", ""))]
counts = {count for word, count in speller.words.items() if "'" in word}
print(f"{len(lost)} of {len(words)} become another word; counts of contractions: {counts}")
print("GREAT ->", corrected("GREAT"))
if (len(lost), counts, corrected("GREAT")) != (8, {300000}, None):
    sys.exit("the corrections differ from those that were found")
EOF
