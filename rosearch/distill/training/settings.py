"""Settings of the optimizer and the learning rate schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal

from rosearch.checks import choice, number, positive, whole_number


@dataclass(frozen=True)
class Optimization:
    """Settings of AdamW and of the schedule: linear warm-up, then decay to zero.

    Raises:
        ArgumentError: A setting is out of range.
    """

    learning_rate: float
    """Peak learning rate."""

    epochs: int = 3
    """Passes over the training rows for which the schedule is made."""

    batch_size: int = 32
    """Rows per step."""

    batch_tokens: int | None = None
    """Tokens per step, padding included; replaces ``batch_size``."""

    micro_batch_size: int | None = None
    """Maximum rows in memory at once; gradients are accumulated over a step. ``None``: all rows of
    a step. Halved if memory runs out."""

    warmup: float = 0.1
    """Share of all steps during which the learning rate rises, at least 0 and below 1."""

    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """Learning rate after the warm-up: linear or cosine decay to zero (Loshchilov and Hutter 2017,
    equation 5, without restarts), or constant."""

    weight_decay: float = 0.01
    """Weight decay of AdamW, applied to matrices but not to vectors (biases, norms)."""

    clip: float = 1.0
    """Maximum norm of a step's gradient."""

    patience: int | None = None
    """Training stops after so many epochs in a row without a better accuracy on dev. ``None``:
    never early."""

    precision: Literal["float32", "bfloat16"] = "float32"
    """``"bfloat16"``: matrix products in bfloat16 under autocast, weights in float32. Accuracy on
    dev is always measured in float32."""

    compile: bool | Literal["reduce-overhead"] = False
    """Whether to compile the model with ``torch.compile``, for any shape. ``"reduce-overhead"``
    uses CUDA graphs, with texts padded to multiples of 16 tokens so that few shapes occur. Pays off
    for a long training of one student on a GPU."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "batch_tokens", "micro_batch_size", "patience"):
            value = getattr(self, name)
            if value is not None or name in ("epochs", "batch_size"):
                # A plain int, because settings are stored as JSON.
                object.__setattr__(self, name, whole_number(name, value))
        positive("learning_rate", self.learning_rate)
        positive("clip", self.clip)
        number("weight_decay", self.weight_decay, 0.0)
        number("warmup", self.warmup, 0.0, 1.0, open_maximum=True)
        choice("schedule", self.schedule, ("linear", "cosine", "constant"))
        choice("precision", self.precision, ("float32", "bfloat16"))
        choice("compile", self.compile, (False, True, "reduce-overhead"))

    @classmethod
    def check_names(cls, names: Iterable[str]) -> None:
        """Refuse further arguments of a Distiller that are no settings.

        Raises:
            TypeError: A setting is unknown.
        """
        known = sorted(setting.name for setting in fields(cls))
        for name in names:
            if name not in known:
                raise TypeError(
                    f"Distiller has no argument {name!r}. Training settings are "
                    f"{', '.join(known)}; settings of a loss belong in losses, such as "
                    f"losses={{'hidden_states': {{'weight': 0.5, 'layers': (6, 12)}}}}."
                )

    def rate(self, step: float, steps: int) -> float:
        """Return the learning rate of a step.

        Args:
            step: From 0; may lie between two steps.
            steps: Steps of all epochs together.
        """
        rising = max(1, round(self.warmup * steps))
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        left = max(0.0, (steps - step) / max(1, steps - rising))
        if self.schedule == "constant":
            return self.learning_rate
        if self.schedule == "cosine":
            return self.learning_rate * 0.5 * (1 - math.cos(math.pi * left))
        return self.learning_rate * left
