"""How a student's weights are updated, and how fast when."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

SCHEDULES = ("linear", "cosine", "constant")
PRECISIONS = ("float32", "bfloat16")
COMPILATIONS = (False, True, "reduce-overhead")


@dataclass(frozen=True)
class Optimization:
    """How weights are updated: AdamW with linear warm-up, and then a decay to zero."""

    learning_rate: float
    """Its peak."""

    epochs: int = 3
    """Passes over the training rows that the schedule is made for."""

    batch_size: int = 32
    """Rows of a step."""

    batch_tokens: int | None = None
    """Tokens of a step, padding included; ``batch_size`` does not count where this is given."""

    micro_batch_size: int | None = None
    """Most rows that are in memory at once; gradients add up to those of the whole step. ``None``:
    all rows of a step. Where memory runs out it is halved."""

    warmup: float = 0.1
    """Share of all steps during which the learning rate rises."""

    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """What the learning rate does after the warm-up: fall to zero on a line or on half a cosine
    (Loshchilov and Hutter 2017, equation 5, without restarts), or stay."""

    weight_decay: float = 0.01
    """AdamW's, on matrices; vectors (biases, norms) are not decayed."""

    clip: float = 1.0
    """Largest norm of a step's gradient."""

    patience: int | None = None
    """Epochs in a row without a better accuracy on dev after which training ends; ``None``: never
    before the last epoch."""

    precision: Literal["float32", "bfloat16"] = "float32"
    """``bfloat16``: matrix products in bfloat16 under autocast, weights and sums in float32. Dev
    accuracy is measured in float32 always."""

    compile: bool | Literal["reduce-overhead"] = False
    """Whether ``torch.compile`` compiles the model, for any shape. ``"reduce-overhead"`` replays
    CUDA graphs: texts are padded to multiples of 16 tokens, so that few shapes come back often.
    Pays off on a GPU where one student is trained long."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "batch_tokens", "micro_batch_size", "patience"):
            value = getattr(self, name)
            if value is None and name not in ("epochs", "batch_size"):
                continue
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}={value!r}: expected a whole number from 1.")
        for name in ("learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)!r}: expected a number above 0.")
        if not self.weight_decay >= 0:
            raise ValueError(f"weight_decay={self.weight_decay!r}: expected a number from 0.")
        if not 0 <= self.warmup < 1:
            raise ValueError(f"warmup={self.warmup!r}: expected a share of at least 0, below 1.")
        for name, known in (
            ("schedule", SCHEDULES),
            ("precision", PRECISIONS),
            ("compile", COMPILATIONS),
        ):
            if getattr(self, name) not in known:
                choices = ", ".join(map(repr, known))
                raise ValueError(f"{name}={getattr(self, name)!r}: expected one of {choices}.")

    def rate(self, step: float, steps: int) -> float:
        """The learning rate of a step.

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
