"""The training loop that distillation and the teacher's fine-tuning share."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from rosearch.distill.batches import bucketed_batches
from rosearch.encoding import Encoding, model_inputs, predict
from rosearch.errors import EvaluationError
from rosearch.seeding import child_seed, generator

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From the logits ``(batch, classes)`` and the rows' numbers ``(batch,)`` to a scalar."""


@dataclass(frozen=True)
class Optimization:
    """How weights are updated: AdamW with linear warm-up and linear decay to zero."""

    learning_rate: float
    """Its peak."""

    epochs: int = 3
    """Passes over the training rows."""

    batch_size: int = 32
    """Rows of a step."""

    warmup: float = 0.1
    """Share of all steps during which the learning rate rises."""

    weight_decay: float = 0.01
    """AdamW's, on matrices; vectors (biases, norms) are not decayed."""

    clip: float = 1.0
    """Largest norm of a step's gradient."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}={value!r}: expected a whole number from 1.")
        for name in ("learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)!r}: expected a number above 0.")
        if not self.weight_decay >= 0:
            raise ValueError(f"weight_decay={self.weight_decay!r}: expected a number from 0.")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup={self.warmup!r}: expected a share of at least 0, below 1.")


@dataclass(frozen=True)
class Epoch:
    """What one epoch did."""

    number: int
    """From 1."""

    loss: float
    """Mean training loss."""

    accuracy: float
    """Share of right answers on the dev examples after the epoch."""

    seconds: float
    """Wall time of the epoch, the dev examples included."""


def fit(
    model: nn.Module,
    rows: Sequence[Encoding],
    loss: Loss,
    dev_rows: Sequence[Encoding],
    dev_labels: np.ndarray,
    *,
    optimization: Optimization,
    pad_id: int,
    pad_left: bool = False,
    seed: int,
    progress: str | None = None,
) -> tuple[Epoch, ...]:
    """Train ``model`` in place and leave it with the weights of its best epoch on dev.

    Among equally accurate epochs the earliest is kept.

    Args:
        model: A Hugging Face sequence classifier, on the device to train on.
        rows: Tokenised training texts.
        loss: Computes the loss of a batch.
        dev_rows: Tokenised dev texts.
        dev_labels: int64 ``(dev rows,)``.
        optimization: Epochs, batch size, learning rate and so on.
        pad_id: Id of the padding token.
        pad_left: Whether padding stands before the text; students read either side alike.
        seed: Fixes order and dropout; torch's global generator is left as it was.
        progress: Text before the progress bar; ``None`` for no bar.

    Raises:
        EvaluationError: The loss is not finite.
    """
    device = next(model.parameters()).device
    lengths = np.array([len(row.ids) for row in rows])
    steps_an_epoch = -(-len(rows) // optimization.batch_size)
    optimizer, scheduler = _optimizer(model, optimization, steps_an_epoch * optimization.epochs)
    history: list[Epoch] = []
    best: dict[str, torch.Tensor] = {}
    bar = tqdm(
        total=steps_an_epoch * optimization.epochs,
        desc=progress,
        disable=progress is None,
        delay=2,
        unit="step",
        leave=False,
    )
    with bar, isolated_rng(child_seed(seed, "dropout")):
        for number in range(1, optimization.epochs + 1):
            start = time.perf_counter()
            model.train()
            # The sum stays on the device, so that a GPU is asked for it once an epoch.
            total = torch.zeros((), device=device)
            rng = generator(seed, "order", number)
            for batch in bucketed_batches(lengths, batch_size=optimization.batch_size, rng=rng):
                inputs = model_inputs(
                    model, [rows[i] for i in batch], pad_id=pad_id, pad_left=pad_left
                )
                value = loss(model(**inputs).logits, torch.from_numpy(batch).to(device))
                optimizer.zero_grad(set_to_none=True)
                value.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(model.parameters(), optimization.clip)
                optimizer.step()
                scheduler.step()
                total += value.detach() * len(batch)
                bar.update()
            mean = float(total) / len(rows)
            if not np.isfinite(mean):
                raise EvaluationError(
                    f"The training loss of epoch {number} is {mean}. Lower learning_rate "
                    f"(now {optimization.learning_rate:g}) or check the inputs."
                )
            dev_logits = predict(model, dev_rows, pad_id=pad_id, pad_left=pad_left)
            predicted = dev_logits.argmax(axis=1)
            accuracy = float((predicted == dev_labels).mean())
            if not history or accuracy > max(epoch.accuracy for epoch in history):
                best = copy.deepcopy(model.state_dict())
            history.append(Epoch(number, mean, accuracy, time.perf_counter() - start))
            bar.set_postfix(dev=f"{accuracy:.3f}")
    model.load_state_dict(best)
    model.eval()
    return tuple(history)


@contextlib.contextmanager
def isolated_rng(seed: int) -> Iterator[None]:
    """Seed torch's global generators inside, and put them back as they were.

    Initialisation and dropout draw from them and take no generator as an argument.
    """
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def _optimizer(
    model: nn.Module, optimization: Optimization, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": optimization.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=optimization.learning_rate, fused=True)
    rising = max(1, round(optimization.warmup * steps))

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return max(0.0, (steps - step) / max(1, steps - rising))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
