#!/usr/bin/env bash
# Padding changes the answers of transformers' YOSO, whatever the attention mask says: the library
# fills the mask with the smallest float, the model expects -10,000, and what should become 0 for
# padding becomes a huge negative weight. Padded by 16 tokens, one text in five of a small model
# changes sides of the decision; with ELECTRA none does, nor does its logit change.
# Versions: transformers 5.23.0 (4.57.6 too), torch 2.13.0, in evaluation mode, with the right
# attention mask.
# Why it matters: a text's answer depends on the longest text of its batch. A cached teacher's
# logits, an attack that queries one text at a time and the accuracy measured in batches do not go
# together.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet transformers==5.23.0 torch==2.13.0 numpy==2.4.6
HF_HUB_OFFLINE=1 CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=1 "$folder/venv/bin/python" - <<'EOF'
import sys

import torch
from torch.nn.functional import pad
from transformers import (
    ElectraConfig,
    ElectraForSequenceClassification,
    YosoConfig,
    YosoForSequenceClassification,
)

sizes = {
    "vocab_size": 200,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
torch.manual_seed(1)
texts = torch.randint(5, 200, (200, 16))
texts[:, 0] = 1
seen = {}
for name, config, kind in (
    ("ELECTRA", ElectraConfig(**sizes), ElectraForSequenceClassification),
    ("YOSO", YosoConfig(**sizes), YosoForSequenceClassification),
):
    torch.manual_seed(0)
    model = kind(config).eval()

    def margins(ids, model=model):
        with torch.no_grad():
            logits = model(ids, attention_mask=(ids != 0).long()).logits
        return logits[:, 1] - logits[:, 0]

    alone = margins(texts)
    middle = alone.median()  # a boundary with as many texts on either side
    for more in (16, 48):
        padded = margins(pad(texts, (0, more)))
        changed = round(100 * float(((alone > middle) != (padded > middle)).float().mean()))
        moved = round(float((alone - padded).abs().mean() / alone.std()), 1)
        seen[name, more] = changed
        print(
            f"{name}, {more} tokens of padding: {changed} % of the texts change sides, "
            f"margins move by {moved} standard deviations"
        )
electra, yoso = ([seen[name, more] for more in (16, 48)] for name in ("ELECTRA", "YOSO"))
if max(electra) > 0 or min(yoso) < 10:
    sys.exit("the shares differ from those that were found")
EOF
