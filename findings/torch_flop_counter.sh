#!/usr/bin/env bash
# torch's FlopCounterMode counts no operation of an nn.LSTM, neither in training nor in
# evaluation, while it counts an nn.GRU in full; and an nn.TransformerEncoderLayer counts for
# nothing as soon as it is in evaluation mode under torch.no_grad(), because it then runs as one
# fused operation that the counter does not know. No warning is given.
# Versions: torch 2.13.0, on a CPU.
# Why it matters: a search for small students under a budget of operations prefers whatever counts
# as zero: any LSTM beats any GRU, and encoder layers are free if their cost is measured at
# inference.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.13.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - <<'EOF'
import sys

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

TOKENS, WIDTH = 20, 32
tokens = torch.randn(1, TOKENS, WIDTH)
layers = {
    "LSTM": nn.LSTM(WIDTH, WIDTH, batch_first=True),
    "GRU": nn.GRU(WIDTH, WIDTH, batch_first=True),
    "encoder layer": nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, batch_first=True),
}
# Multiplications; the encoder layer has those of attention (scores and sums) too.
products = {
    "LSTM": TOKENS * 8 * WIDTH**2,
    "GRU": TOKENS * 6 * WIDTH**2,
    "encoder layer": TOKENS * 8 * WIDTH**2 + 2 * TOKENS**2 * WIDTH,
}


def counted(layer, training):
    layer.train(training)
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(training):
        layer(tokens)
    return counter.get_total_flops()


seen = {}
for name, layer in layers.items():
    seen[name] = counted(layer, True), counted(layer, False)
    print(
        f"{name:14} operations {2 * products[name]:7}, counted in training {seen[name][0]:7}, "
        f"in evaluation {seen[name][1]:7}"
    )
if seen != {"LSTM": (0, 0), "GRU": (245760, 245760), "encoder layer": (378880, 0)}:
    sys.exit("the counts differ from those that were found")
EOF
