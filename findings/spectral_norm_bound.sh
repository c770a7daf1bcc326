#!/usr/bin/env bash
# A layer under torch's spectral_norm can stretch its input by more than 1. Of a convolution over
# tokens the parametrization bounds the flattened weight, not the operation: it stretches by 1.1
# to 1.5. Of a linear layer it divides by an estimate that is one step of power iteration old: for
# new weights up to 4 % too low, and up to 22 % after training on targets that press against the
# bound. Evaluation mode keeps the estimate of the last training step.
# Versions: torch 2.13.0 (torch.nn.utils.parametrizations.spectral_norm).
# Why it matters: the product of such norms is used as a Lipschitz constant, from which follows
# how far embeddings may be moved without a change of the answer. A certificate that takes each
# factor as 1 is wrong; compute the norms of the trained layers.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.13.0 numpy==2.4.6
OMP_NUM_THREADS=1 "$folder/venv/bin/python" - <<'EOF'
import sys

import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

TOKENS, WIDTH, STEPS = 16, 16, 300


def stretch(layer, inputs):
    """The largest factor by which the linear part of a layer lengthens an input."""
    layer.eval()
    start = layer(torch.zeros(inputs)).detach()
    matrix = torch.autograd.functional.jacobian(lambda x: layer(x) - start, torch.zeros(inputs))
    layer.train()
    return float(torch.linalg.matrix_norm(matrix.reshape(start.numel(), -1), 2))


kinds = {
    "linear": (lambda: nn.Linear(4 * WIDTH, 4 * WIDTH), (1, 4 * WIDTH)),
    "convolution": (lambda: nn.Conv1d(WIDTH, WIDTH, 5, padding=2), (1, WIDTH, TOKENS)),
}
seen = {}
for name, (build, inputs) in kinds.items():
    for seed in range(3):
        torch.manual_seed(seed)
        layer = spectral_norm(build())
        optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3)
        before = stretch(layer, inputs)
        for _ in range(STEPS):
            values = torch.randn(32, *inputs[1:])
            optimizer.zero_grad()
            ((layer(values) - 3 * values.roll(1, 1)) ** 2).mean().backward()
            optimizer.step()
        seen[name, seed] = before, stretch(layer, inputs)
        print(f"{name:11} seed {seed}: new {before:.2f}, trained {seen[name, seed][1]:.2f}")
new, trained = ([seen["linear", seed][i] for seed in range(3)] for i in (0, 1))
convolutions = [seen["convolution", seed][1] for seed in range(3)]
if max(new) < 1.02 or min(trained) < 1.05 or min(convolutions) < 1.05:
    sys.exit("the factors differ from those that were found")
EOF
