"""How much better than with one answer for all texts a student is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from rosearch.distill.training.hooks import Batch

_KEPT = 0.95
"""Weight of the steps before in the running means of losses."""

_ROWS = 256
"""Texts whose mean answer counts: many more than the one of the smallest batches."""

_ROUNDING = 1e-4
"""Share from which a student has learnt something."""


class AnswerLosses(Protocol):
    """An objective whose losses compare answers, as all distillation's do."""

    def answer_loss(self, logits: torch.Tensor, rows: np.ndarray) -> torch.Tensor | None:
        """Return the losses that read nothing but answers, ``None`` if there are none.

        Args:
            logits: ``(batch, classes)``.
            rows: int64 ``(batch,)``, the row numbers of the batch's examples.
        """


class LearntShare:
    """The share of the loss of one answer for all texts that a student avoids, by running means.

    The answer is the student's mean answer to the last few hundred texts. So no other data is
    needed, and a constant classifier has learnt nothing, whatever its loss was at the start.
    """

    def __init__(self) -> None:
        self._losses = np.zeros(2)
        self._steps = 0
        self._missed = 0
        self._answer: torch.Tensor | None = None
        self._rows = 0

    @property
    def share(self) -> float:
        """The share, 0 to 1; 0 before the first step."""
        own, constant = self._losses.tolist()
        share = 1 - own / constant if constant > 0 else 0.0
        return share if share > _ROUNDING else 0.0

    def answer(self, logits: torch.Tensor) -> torch.Tensor:
        """Count the answers to a batch; return the mean answer as logits, ``(classes,)``."""
        own = logits.detach().float().softmax(dim=-1)
        self._rows = min(self._rows + len(own), _ROWS)
        if self._answer is None:
            self._answer = own.mean(dim=0)
        else:
            part = min(1.0, len(own) / self._rows)
            self._answer = torch.lerp(self._answer.to(own.device), own.mean(dim=0), part)
        return self._answer.clamp_min(1e-12).log()

    def observe(self, loss: float, constant: float) -> None:
        """Count a step: the student's loss, and that of the mean answer."""
        # At first plain means.
        kept = min(_KEPT ** (1 + self._missed), self._steps / (self._steps + 1))
        self._losses = kept * self._losses + (1 - kept) * np.array([loss, constant])
        self._steps += 1
        self._missed = 0

    def miss(self) -> None:
        """Pass over a step whose loss says nothing; the next counts for it, too."""
        self._missed += 1

    def state(self) -> dict[str, torch.Tensor]:
        """Return what :meth:`load` needs to resume from a checkpoint."""
        answer = torch.zeros(0) if self._answer is None else self._answer
        return {
            "losses": torch.from_numpy(self._losses.copy()),
            "counts": torch.tensor([self._steps, self._missed, self._rows]),
            "answer": answer.cpu(),
        }

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore what :meth:`state` returned."""
        self._losses = state["losses"].numpy().copy()
        self._steps, self._missed, self._rows = state["counts"].tolist()
        self._answer = state["answer"] if len(state["answer"]) else None

    @contextmanager
    def observing(self, model: nn.Module, objective: AnswerLosses, batch: Batch) -> Iterator[None]:
        """Count the passes over a batch in the ``with`` block as steps.

        Args:
            model: The student.
            objective: Judges its answers.
            batch: The batch.
        """

        def see(_: nn.Module, __: Any, out: Any) -> None:
            with torch.no_grad():
                mean = self.answer(out.logits).expand(out.logits.shape)
                found = [objective.answer_loss(one, batch.numbers) for one in (out.logits, mean)]
            if found[0] is None or found[1] is None:
                self.observe(0.0, 1.0)  # nothing trains the answers, so nothing tells about them
            else:
                self.observe(*torch.stack([found[0], found[1]]).tolist())

        handle = model.register_forward_hook(see)
        try:
            yield
        finally:
            handle.remove()
