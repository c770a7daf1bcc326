"""How much of what the best constant answer gets wrong a student has learnt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from rosearch.distill.training.hooks import Batch

_KEPT = 0.95
"""Weight of the steps before in the running means."""


class LearntShare:
    """The share of a constant answer's loss that a student avoids, 0 to 1, as running means.

    The constant answer is the student's own mean over a batch. It needs no other data, and of a
    constant classifier the share is exactly 0, whatever its loss was when training began.
    """

    def __init__(self) -> None:
        self._loss = 0.0
        self._constant = 0.0
        self._steps = 0
        self._missed = 0

    @property
    def share(self) -> float:
        """The share; 0 before the first step."""
        return max(0.0, 1 - self._loss / self._constant) if self._constant > 0 else 0.0

    def observe(self, loss: float, constant: float) -> None:
        """Count a step: the student's loss, and that of its mean answer."""
        # At first plain means.
        kept = min(_KEPT ** (1 + self._missed), self._steps / (self._steps + 1))
        self._loss = kept * self._loss + (1 - kept) * loss
        self._constant = kept * self._constant + (1 - kept) * constant
        self._steps += 1
        self._missed = 0

    def miss(self) -> None:
        """Pass over a step whose loss says nothing; the next counts for it, too."""
        self._missed += 1

    def state(self) -> dict[str, torch.Tensor]:
        """Return what :meth:`load` needs to resume from a checkpoint."""
        return {
            "losses": torch.tensor([self._loss, self._constant], dtype=torch.float64),
            "steps": torch.tensor([self._steps, self._missed]),
        }

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore what :meth:`state` returned."""
        self._loss, self._constant = state["losses"].tolist()
        self._steps, self._missed = state["steps"].tolist()


@contextmanager
def constant_losses(model: Any, objective: nn.Module, batch: Batch) -> Iterator[list[torch.Tensor]]:
    """Collect the losses that the student's mean answer has in passes inside the ``with`` block.

    Args:
        model: The student.
        objective: The objective of the passes.
        batch: Their batch.
    """
    found: list[torch.Tensor] = []

    def answer(_: nn.Module, __: Any, out: Any) -> None:
        with torch.no_grad():
            probabilities = out.logits.float().softmax(dim=-1).mean(dim=0, keepdim=True)
            found.append(
                objective(_Constant(model, out, probabilities), batch.inputs, batch.numbers)
            )

    handle = model.register_forward_hook(answer)
    try:
        yield found
    finally:
        handle.remove()


class _Constant:
    """A student that has run, with one answer for all texts."""

    def __init__(self, student: Any, out: Any, probabilities: torch.Tensor) -> None:
        self._orig_mod = student  # as torch.compile names it
        logits = probabilities.clamp_min(1e-12).log().expand(out.logits.shape)
        self._out = SimpleNamespace(
            logits=logits, hidden_states=getattr(out, "hidden_states", None)
        )

    def __call__(self, **_: Any) -> Any:
        return self._out
