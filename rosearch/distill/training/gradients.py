"""The gradient of one step, in as many pieces as memory allows."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from rosearch.distill.robust.freelb import Batch, Perturber
from rosearch.distill.training.settings import Optimization
from rosearch.errors import EvaluationError
from rosearch.tokens import Encoding, model_inputs

_MULTIPLE = 16
"""Texts are padded to a multiple of so many tokens where shapes shall come back."""

_MOST_SHAPES = 64
"""Shapes that are compiled before the rest runs uncompiled."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory has run out, on a GPU or on the CPU."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    # PyTorch's allocator for the CPU has no class of its own for it.
    signs = ("not enough memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)


class Gradients:
    """Computes losses and adds up gradients, a micro batch at a time.

    Args:
        model: The model that learns.
        objective: ``objective(model, inputs, rows)`` gives the mean loss of the rows.
        rows: Tokenised training texts.
        optimization: The settings.
        clear: Forgets the gradients of a step that has failed.
        pad_id: Id of the padding token.
        pad_left: Whether padding stands before the text.
        perturber: Stands between batches and their gradients; ``None``: nobody.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: nn.Module,
        rows: Sequence[Encoding],
        optimization: Optimization,
        *,
        clear: Callable[[], None],
        pad_id: int,
        pad_left: bool,
        perturber: Perturber | None = None,
    ) -> None:
        self.micro_batch_size = optimization.micro_batch_size
        self.rows = rows
        self._perturber = perturber
        self._model = model
        self._called = _compiled(model, optimization.compile)
        self._objective = objective
        self._clear = clear
        self._pad_id = pad_id
        self._pad_left = pad_left
        self._graphs = optimization.compile == "reduce-overhead"
        self._low = optimization.precision == "bfloat16"
        self._device = next(model.parameters()).device

    @contextmanager
    def attached(self) -> Iterator[None]:
        """To be open while the model trains."""
        if not self._graphs:
            yield
            return
        from torch._dynamo import config

        with config.patch(cache_size_limit=_MOST_SHAPES):
            yield

    def of(self, batch: np.ndarray, *, progress: float = 1.0) -> torch.Tensor:
        """Add the gradient of a batch's mean loss to what is there.

        Where memory runs out, the micro batch is halved, for all batches to come too, and the batch
        is computed again. The gradient is the same up to rounding and other draws of dropout.

        Args:
            batch: int64 ``(rows,)``, numbers of examples.
            progress: Share of the whole training that is done, 0 to 1.

        Returns:
            The mean loss, a scalar on the device.

        Raises:
            EvaluationError: Memory is not enough for a single row.
        """
        while True:
            try:
                return self._sum(batch, progress)
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                reason = str(error).partition("\n")[0]
            # Not in the handler: its traceback keeps the tensors of the failed attempt.
            self._clear()
            self._halve(len(batch), reason)

    def _sum(self, batch: np.ndarray, progress: float) -> torch.Tensor:
        size = self.micro_batch_size or len(batch)
        total = torch.zeros((), device=self._device)
        for start in range(0, len(batch), size):
            piece = batch[start : start + size]
            if self._graphs:
                torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
            rows = [self.rows[i] for i in piece]
            inputs = self._inputs(rows)
            backward = partial(self._backward, piece)
            # Means of pieces of different sizes count by their rows.
            share = len(piece) / len(batch)
            if self._perturber is None:
                total += backward(inputs, share)
                continue
            total += self._perturber.accumulate(
                self._model, Batch(inputs, rows, piece), backward, share=share, progress=progress
            )
        return total

    def _backward(
        self, piece: np.ndarray, inputs: dict[str, torch.Tensor], share: float
    ) -> torch.Tensor:
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._low):
            loss: torch.Tensor = self._objective(self._called, inputs, piece)
        loss = loss.float() * share
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _inputs(self, rows: Sequence[Encoding]) -> dict[str, torch.Tensor]:
        inputs = model_inputs(self._model, rows, pad_id=self._pad_id, pad_left=self._pad_left)
        more = -inputs["input_ids"].shape[1] % _MULTIPLE
        if not self._graphs or not more:
            return inputs
        sides = (more, 0) if self._pad_left else (0, more)
        filling = {"input_ids": self._pad_id}
        return {
            name: functional.pad(tensor, sides, value=filling.get(name, 0))
            for name, tensor in inputs.items()
        }

    def _halve(self, rows: int, reason: str) -> None:
        size = min(self.micro_batch_size or rows, rows)
        if size == 1:
            raise EvaluationError(
                f"Memory is not enough for a single text ({reason}). Use a smaller student, or "
                f"shorter texts."
            )
        self.micro_batch_size = size // 2
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def _compiled(model: nn.Module, how: Any) -> Any:
    if not how:
        return model
    if how == "reduce-overhead":
        return torch.compile(model, mode=how, dynamic=False)
    return torch.compile(model, dynamic=True)
