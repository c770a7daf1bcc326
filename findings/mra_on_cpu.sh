#!/usr/bin/env bash
# Without a CUDA kernel compiled on the spot, the attention of transformers' MRA model gives
# zeros: no token sees another, the classifier reads the first token only, and every text gets the
# same logits. There is neither an error nor a warning.
# Versions: transformers 5.23.0 (4.57.6 too), torch 2.13.0.
# Why it matters: in a comparison of efficient encoders, or as one choice of a search, MRA looks
# like a weak model on a CPU; under attack it looks perfectly robust, for no change of words can
# change its answer.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet transformers==5.23.0 torch==2.13.0 numpy==2.4.6
HF_HUB_OFFLINE=1 CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=1 "$folder/venv/bin/python" - <<'EOF'
import sys

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    MraConfig,
    MraForSequenceClassification,
)

sizes = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
torch.manual_seed(0)
texts = torch.randint(5, 100, (50, 64))
texts[:, 0] = 1  # every text begins with the same token, as [CLS] does
seen = {}
for name, model in {
    "BERT": BertForSequenceClassification(BertConfig(**sizes)),
    "MRA": MraForSequenceClassification(MraConfig(**sizes)),
}.items():
    with torch.no_grad():
        logits = model.eval()(texts, attention_mask=torch.ones_like(texts)).logits
    seen[name] = len(torch.unique(logits, dim=0))
    print(f"{name}: {seen[name]} different answers to {len(texts)} texts")
if seen != {"BERT": 50, "MRA": 1}:
    sys.exit("the numbers of answers differ from those that were found")
EOF
