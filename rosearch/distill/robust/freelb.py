"""Perturbed token embeddings while a student trains."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from torch import nn

from rosearch.tokens import Encoding

Backward: TypeAlias = Callable[[dict[str, torch.Tensor], float], torch.Tensor]
"""Computes the loss of inputs times a number, adds its gradient to what is there, and returns the
loss so multiplied."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Texts of a step that are computed together."""

    inputs: dict[str, torch.Tensor]
    """What the student is called with."""

    rows: Sequence[Encoding]
    """The texts, tokenised."""

    numbers: np.ndarray
    """int64 ``(batch,)``, their places among the training texts; those after the last have joined
    for an epoch."""


class Perturber(Protocol):
    """Stands between a batch and its gradient."""

    def accumulate(
        self,
        model: nn.Module,
        batch: Batch,
        backward: Backward,
        *,
        share: float = 1.0,
        progress: float = 1.0,
    ) -> torch.Tensor:
        """Add the gradients of all passes over one batch.

        Args:
            model: A student.
            batch: The texts.
            backward: One pass.
            share: What the batch weighs in its step.
            progress: Share of the whole training that is done, 0 to 1.

        Returns:
            The loss times ``share``, a scalar on the device.
        """

    def is_full(self, progress: float) -> bool:
        """Whether an epoch that begins at ``progress`` is perturbed as much as it will be."""


@dataclass(frozen=True)
class EmbeddingPerturbation:
    """FreeLB (Zhu et al. 2020, algorithm 1): several ascent steps, all of whose gradients count.

    What an input's ``vectors`` gives for each token (before positions are added) is shifted by
    ``d``, one matrix ``(length, inner width)`` a text. It starts evenly within
    ``start / sqrt(N) * [-1, 1]``, ``N`` being its numbers at real tokens. Each of ``steps`` passes
    adds a ``steps``-th of its gradient to the weights' and moves ``d`` uphill::

        d <- P(d + step_size * g / |g|),  g the gradient of the loss with respect to d

    where ``P`` scales ``d`` down to the norm ``max_norm``. Norms are of a text's whole matrix
    (Frobenius). Dropout draws the same in all passes of a step (section 3.3 there). A step costs
    ``steps`` times a plain one.
    """

    steps: int = 3
    """Passes, ``K``."""

    step_size: float = 0.5
    """Length of a move, ``alpha``."""

    max_norm: float = 1.0
    """Largest norm of ``d``, ``epsilon``."""

    start: float = 0.1
    """Size of the first ``d``; 0 makes the first pass that of the plain text."""

    def __post_init__(self) -> None:
        steps: Any = self.steps
        if not isinstance(steps, int) or steps < 1:
            raise ValueError(f"steps={self.steps!r}: expected a whole number from 1.")
        for name in ("step_size", "max_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}={getattr(self, name)!r}: expected a number above 0.")
        if not 0 <= self.start <= self.max_norm:
            raise ValueError(
                f"start={self.start!r}: expected a number from 0 to max_norm={self.max_norm!r}."
            )

    @property
    def settings(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def is_full(self, progress: float) -> bool:
        """True: every step is perturbed alike."""
        return True

    def accumulate(
        self,
        model: nn.Module,
        batch: Batch,
        backward: Backward,
        *,
        share: float = 1.0,
        progress: float = 1.0,
    ) -> torch.Tensor:
        """The mean of the passes' losses times ``share``; see :class:`Perturber`."""
        embedding: Any = model.embedding
        mask = batch.inputs["attention_mask"].unsqueeze(2).to(embedding.tokens.weight.dtype)
        delta = self._first(mask, embedding.shape.inner)
        state = _random_state(mask.device)
        total = torch.zeros((), device=mask.device)
        for number in range(self.steps):
            _set_random_state(mask.device, state)
            delta.requires_grad_()
            with shifted(embedding, delta):
                total = total + backward(batch.inputs, share / self.steps)
            gradient, delta = delta.grad, delta.detach()
            if gradient is not None and number + 1 < self.steps:
                delta = self._moved(delta, gradient * mask)
        return total

    def _first(self, mask: torch.Tensor, width: int) -> torch.Tensor:
        shape = (*mask.shape[:2], width)
        if not self.start:
            return torch.zeros(shape, device=mask.device, dtype=mask.dtype)
        even = torch.rand(shape, device=mask.device, dtype=mask.dtype) * 2 - 1
        count = (mask.sum(dim=1, keepdim=True) * width).clamp(min=1)
        first: torch.Tensor = even * mask * (self.start / count.sqrt())
        return first

    def _moved(self, delta: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        delta = delta + self.step_size * gradient / _norm(gradient).clamp(min=1e-12)
        scale = (self.max_norm / _norm(delta).clamp(min=1e-12)).clamp(max=1.0)
        projected: torch.Tensor = delta * scale
        return projected


def _norm(values: torch.Tensor) -> torch.Tensor:
    norm: torch.Tensor = torch.linalg.vector_norm(values, dim=(1, 2), keepdim=True)
    return norm


@contextmanager
def shifted(embedding: Any, delta: torch.Tensor) -> Iterator[None]:
    """While this is open, the input gives each token another vector.

    Args:
        embedding: A student's input.
        delta: Added to what its ``vectors`` gives, ``(batch, length, inner)``.
    """
    plain = embedding.vectors
    # A method has no hook; a function on the instance goes before the class's.
    embedding.vectors = lambda input_ids, mask: plain(input_ids, mask) + delta
    try:
        yield
    finally:
        del embedding.vectors


def _random_state(device: torch.device) -> torch.Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_random_state(device: torch.device, state: torch.Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
