#!/usr/bin/env bash
# What nn.MultiheadAttention gives for a text that is padding throughout depends on what else is
# asked of it. need_weights=True: NaN in training and in evaluation. need_weights=False: finite in
# training, finite in evaluation with gradients, NaN in evaluation without them. In
# nn.TransformerEncoder the same text is finite in training, and zeros in evaluation.
# Versions: torch 2.13.0, on a CPU.
# Why it matters: texts do get empty (stop words taken out, attacks that delete, empty second
# texts of pairs). A model that trained well gives NaN once it is served, and distillation of
# attention, which asks for the weights, makes a loss NaN that was finite before.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.13.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" -W ignore - <<'EOF'
import sys

import torch
from torch import nn

torch.manual_seed(0)
attention = nn.MultiheadAttention(16, 2, batch_first=True)
encoder = nn.TransformerEncoder(
    nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True), 2
)
nn.init.ones_(attention.out_proj.bias)
texts = torch.randn(2, 5, 16)
padding = torch.zeros(2, 5, dtype=torch.bool)
padding[1] = True  # the second text is empty


def kind(values):
    if values.isnan().any():
        return "NaN"
    return "finite" if values.any() else "zeros"


seen = {}
for training, gradients in ((True, True), (False, True), (False, False)):
    attention.train(training)
    encoder.train(training)
    with torch.set_grad_enabled(gradients):
        row = []
        for weights in (True, False):
            values, _ = attention(
                texts, texts, texts, key_padding_mask=padding, need_weights=weights
            )
            row.append(kind(values[1]))
        row.append(kind(encoder(texts, src_key_padding_mask=padding)[1]))
    mode = f"{'training' if training else 'evaluation'}, gradients {gradients}"
    seen[mode] = row
    print(f"{mode:27} attention with weights {row[0]}, without weights {row[1]}; encoder {row[2]}")
if list(seen.values()) != [
    ["NaN", "finite", "finite"],
    ["NaN", "finite", "finite"],
    ["NaN", "NaN", "zeros"],
]:
    sys.exit("the values differ from those that were found")
EOF
