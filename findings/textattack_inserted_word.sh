#!/usr/bin/env bash
# TextAttack compares words place by place. One word inserted before a text of eleven words counts
# as eleven changed words, and the log says that 100 % of the words were perturbed. The same word
# after the last one counts as no change at all.
# Versions: textattack 0.3.11 (flair 0.15.1, transformers 4.57.6, torch 2.13.0, nltk 3.10.4).
# Why it matters: the perturbed-word rate is the usual measure of how much an attack changes. For
# attacks that insert or merge words (CLARE, BAE-I) it says where, not how much, and cannot be
# compared with that of attacks that replace words. Limits on the rate (MaxWordsPerturbed) count
# in the same way.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet textattack==0.3.11 \
  flair==0.15.1 transformers==4.57.6 torch==2.13.0 nltk==3.10.4
# TextAttack reads NLTK's stop words when it is imported; no word of the list matters here.
mkdir -p "$folder/nltk/corpora/stopwords"
printf 'the\na\nof\n' > "$folder/nltk/corpora/stopwords/english"
cat > "$folder/count.py" <<'EOF'
import sys

import torch
from textattack.attack_results import SuccessfulAttackResult
from textattack.goal_function_results import ClassificationGoalFunctionResult as Result
from textattack.goal_function_results import GoalFunctionResultStatus as Status
from textattack.metrics.attack_metrics import WordsPerturbed
from textattack.shared import AttackedText

text = AttackedText("this film was a great joy from the first minute on")


def rate(changed):
    """The share that the log of an attack gives."""
    attack = SuccessfulAttackResult(
        Result(text, torch.tensor([0.1, 0.9]), 1, Status.SEARCHING, 0.5, 10, 1),
        Result(changed, torch.tensor([0.9, 0.1]), 0, Status.SUCCEEDED, 0.5, 10, 1),
    )
    return float(WordsPerturbed().calculate([attack])["avg_word_perturbed_perc"])


first = text.insert_text_before_word_index(0, "honestly")
last = text.insert_text_after_word_index(10, "honestly")
print(f"inserted first: {rate(first)} % of the words perturbed")
words = {"first": len(text.all_words_diff(first)), "last": len(text.all_words_diff(last))}
for name, count in words.items():
    print(f"inserted {name}: {count} of {len(text.words)} words differ")
if (rate(first), words) != (100.0, {"first": 11, "last": 0}):
    sys.exit("the counts differ from those that were found")
EOF
OMP_NUM_THREADS=1 NLTK_DATA="$folder/nltk" "$folder/venv/bin/python" "$folder/count.py"
