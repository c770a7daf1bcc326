#!/usr/bin/env bash
# Four packages that count a model's multiplications give from 2 to 104 % of what one transformer
# encoder layer does, and of recurrent layers either nothing or 103 to 107 %. torchinfo counts a
# linear layer once a text, not once a token; thop sees none of the projections of
# nn.MultiheadAttention, since that calls no submodule; fvcore counts neither LSTM nor GRU.
# Versions: torchinfo 1.8.0, thop 0.1.1.post2209072238, fvcore 0.1.5.post20221221, ptflops 0.7.5,
# torch 2.13.0.
# Why it matters: such counts are given as the cost of small models. Results that were counted
# with two of these packages cannot be compared, and whether an encoder layer costs more than an
# LSTM depends on the package.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.13.0 numpy==2.4.6 setuptools==80.9.0 \
  torchinfo==1.8.0 thop==0.1.1.post2209072238 fvcore==0.1.5.post20221221
"$folder/venv/bin/python" -m pip install --quiet --no-deps ptflops==0.7.5
cat > "$folder/count.py" <<'EOF'
import contextlib
import io
import sys

import ptflops
import thop
import torch
import torchinfo
from fvcore.nn import FlopCountAnalysis
from torch import nn

TOKENS, WIDTH = 20, 32
text = torch.randn(1, TOKENS, WIDTH)
# Products with weights; for the encoder layer, those of attention (scores and sums) too.
layers = {
    "encoder layer": (
        lambda: nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, batch_first=True),
        TOKENS * 8 * WIDTH**2 + 2 * TOKENS**2 * WIDTH,
    ),
    "LSTM": (lambda: nn.LSTM(WIDTH, WIDTH, batch_first=True), TOKENS * 8 * WIDTH**2),
    "GRU": (lambda: nn.GRU(WIDTH, WIDTH, batch_first=True), TOKENS * 6 * WIDTH**2),
}
counters = {
    "torchinfo": lambda layer: torchinfo.summary(layer, input_data=text, verbose=0).total_mult_adds,
    "thop": lambda layer: thop.profile(layer, (text,), verbose=False)[0],
    "fvcore": lambda layer: FlopCountAnalysis(layer, text).total(),
    "ptflops": lambda layer: ptflops.get_model_complexity_info(
        layer, (TOKENS, WIDTH), as_strings=False, print_per_layer_stat=False, backend="pytorch"
    )[0],
}
seen = {}
for layer, (build, expected) in layers.items():
    for package, count in counters.items():
        with contextlib.redirect_stdout(io.StringIO()):
            share = round(100 * float(count(build())) / expected)
        seen[layer, package] = share
    print(f"{layer:14}", ", ".join(f"{package} {seen[layer, package]} %" for package in counters))
expected = [2, 46, 90, 104, 103, 106, 0, 107, 103, 107, 0, 107]
if list(seen.values()) != expected:
    sys.exit(f"{list(seen.values())} instead of {expected}")
EOF
OMP_NUM_THREADS=1 "$folder/venv/bin/python" "$folder/count.py" 2> "$folder/log" ||
  { cat "$folder/log" >&2; exit 1; }
