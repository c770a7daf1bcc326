"""FreeLB: adversarial perturbation of token embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch

from rosearch.checks import number, positive, whole_number
from rosearch.distill.training.hooks import Backward, Batch, TrainingHook


@dataclass(frozen=True)
class EmbeddingPerturbation(TrainingHook):
    """FreeLB (Zhu et al. 2020, algorithm 1), for ``Distiller(perturbation=...)``.

    Each text's token embeddings, before positions are added, are shifted by a matrix ``d`` of shape
    ``(length, inner width)``. ``d`` starts uniform in ``start / sqrt(N) * [-1, 1]``, where ``N`` is
    the number of its elements at real tokens. Each of ``steps`` passes contributes its gradient
    with weight ``1 / steps``, and moves ``d`` in the direction of a higher loss::

        d <- P(d + step_size * g / |g|),  g the gradient of the loss with respect to d

    where ``P`` scales ``d`` down to the norm ``max_norm``. Norms are Frobenius norms of a text's
    matrix. Dropout masks are the same in all passes of a step (section 3.3). A step takes ``steps``
    times as long as a plain one.

    Raises:
        ArgumentError: A setting is out of range.
    """

    steps: int = 3
    """Passes per step, ``K``."""

    step_size: float = 0.5
    """Length of each move, ``alpha``."""

    max_norm: float = 1.0
    """Maximum norm of ``d``, ``epsilon``."""

    start: float = 0.1
    """Size of the initial ``d``, 0 to ``max_norm``; with 0 the first pass is a plain one."""

    def __post_init__(self) -> None:
        whole_number("steps", self.steps)
        positive("step_size", self.step_size)
        positive("max_norm", self.max_norm)
        number("start", self.start, 0.0, self.max_norm)

    @property
    def settings(self) -> dict[str, Any]:
        """All settings as plain values."""
        return asdict(self)

    def accumulate(
        self, model: Any, batch: Batch, share: float, *, backward: Backward, progress: float
    ) -> torch.Tensor:
        """Run all passes; see :class:`TrainingHook`."""
        embedding = model.embedding
        mask = batch.inputs["attention_mask"].unsqueeze(2).to(embedding.tokens.weight.dtype)
        delta = self._first(mask, embedding.shape.inner)
        devices = [mask.device] if mask.device.type == "cuda" else []
        total = torch.zeros((), device=mask.device)
        for step in range(self.steps):
            delta.requires_grad_()
            # Put back before the next pass, so that all passes draw the same dropout masks.
            again = step + 1 < self.steps
            with torch.random.fork_rng(devices, enabled=again), shifted(embedding, delta):
                total = total + backward(batch, share / self.steps)
            gradient, delta = delta.grad, delta.detach()
            if gradient is not None and again:
                delta = self._moved(delta, gradient * mask)
        return total

    def _first(self, mask: torch.Tensor, width: int) -> torch.Tensor:
        shape = (*mask.shape[:2], width)
        if not self.start:
            return torch.zeros(shape, device=mask.device, dtype=mask.dtype)
        uniform = torch.rand(shape, device=mask.device, dtype=mask.dtype) * 2 - 1
        count = (mask.sum(dim=1, keepdim=True) * width).clamp(min=1)
        first: torch.Tensor = uniform * mask * (self.start / count.sqrt())
        return first

    def _moved(self, delta: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        delta = delta + self.step_size * gradient / _norm(gradient)
        scale = (self.max_norm / _norm(delta)).clamp(max=1.0)
        projected: torch.Tensor = delta * scale
        return projected


def _norm(values: torch.Tensor) -> torch.Tensor:
    norm: torch.Tensor = torch.linalg.vector_norm(values, dim=(1, 2), keepdim=True)
    return norm.clamp(min=1e-12)


@contextmanager
def shifted(embedding: Any, delta: torch.Tensor) -> Iterator[None]:
    """Shift a student's token vectors inside the ``with`` block.

    Args:
        embedding: The student's embedding operator.
        delta: Added to the result of its ``vectors``, ``(batch, length, inner width)``.
    """
    plain = embedding.vectors

    def vectors(input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = plain(input_ids, mask) + delta
        return found

    # Torch has no hooks on methods; an attribute of the instance hides the class's method.
    embedding.vectors = vectors
    try:
        yield
    finally:
        del embedding.vectors
