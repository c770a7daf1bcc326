#!/usr/bin/env bash
# transformers' Trainer takes any model whose forward has **kwargs for one that divides its loss
# by the number of items of all accumulated batches. With 8 steps of accumulation the gradient of
# such a model is 8 times too large. The same model without **kwargs is trained rightly.
# Versions: transformers 5.23.0 (4.57.6 too), accelerate 1.15.0, torch 2.13.0.
# Why it matters: wrappers that add a distillation or an adversarial loss often take **kwargs and
# pass them on. Their learning rate then depends on the number of accumulation steps: runs on a
# small and on a large device, meant to be the same, differ. accepts_loss_kwargs = False on the
# model turns it off.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet transformers==5.23.0 \
  accelerate==1.15.0 torch==2.13.0 numpy==2.4.6
cat > "$folder/accumulate.py" <<'EOF'
import sys

import torch
import transformers
from torch import nn
from transformers import Trainer, TrainingArguments

transformers.logging.set_verbosity_error()
torch.manual_seed(0)
values = torch.randn(32, 4)
data = [{"values": row, "labels": (row[0] > 0).long()} for row in values]


class Without(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 2)

    def loss(self, values, labels):
        logits = self.layer(values)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    def forward(self, values, labels):
        return self.loss(values, labels)


class With(Without):
    def forward(self, values, labels, **kwargs):
        return self.loss(values, labels)


class TurnedOff(With):
    accepts_loss_kwargs = False


def step(kind, batch, accumulated):
    """The length of one step of plain gradient descent over all 32 texts."""
    model = kind()
    before = model.layer.weight.detach().clone()
    arguments = TrainingArguments(
        sys.argv[1],
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulated,
        max_steps=1,
        learning_rate=1.0,
        lr_scheduler_type="constant",
        optim="sgd",
        max_grad_norm=0.0,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
    )
    Trainer(model, arguments, train_dataset=data).train()
    return float((model.layer.weight - before).norm())


seen = {}
kinds = {"without **kwargs": Without, "with **kwargs": With, "turned off": TurnedOff}
for name, kind in kinds.items():
    seen[name] = round(step(kind, 4, 8) / step(kind, 32, 1), 2)
    print(f"{name:17} 8 batches of 4 move {seen[name]} times as far as 1 of 32", file=sys.stderr)
if seen != {"without **kwargs": 1.0, "with **kwargs": 8.0, "turned off": 1.0}:
    sys.exit("the steps differ from those that were found")
EOF
# Trainer writes its summaries to stdout.
HF_HUB_OFFLINE=1 CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=1 \
  "$folder/venv/bin/python" -W ignore "$folder/accumulate.py" "$folder/run" 2>&1 > /dev/null
