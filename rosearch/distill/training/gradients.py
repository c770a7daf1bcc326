"""The gradient of one step, in as many micro batches as memory requires."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from rosearch.distill.training.hooks import Backward, Batch, TrainingHook
from rosearch.distill.training.settings import Optimization
from rosearch.errors import EvaluationError
from rosearch.tokens import TokenizedText, model_inputs

_LENGTH_MULTIPLE = 16
"""With CUDA graphs, texts are padded to a multiple of so many tokens, so that shapes repeat."""

_MAX_SHAPES = 64
"""Shapes that are compiled; others run uncompiled."""


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory has run out, on a GPU or on the CPU."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    # PyTorch's CPU allocator raises a plain RuntimeError.
    signs = ("not enough memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)


@dataclass
class Gradients:
    """Computes losses and accumulates gradients, one micro batch at a time."""

    model: nn.Module
    objective: nn.Module
    """``objective(model, inputs, rows)`` returns the mean loss of the rows."""

    rows: Sequence[TokenizedText]
    """Tokenised training texts."""

    optimization: Optimization
    clear: Callable[[], None]
    """Discards the gradients of a failed step."""

    pad_id: int
    pad_left: bool = False
    hooks: Sequence[TrainingHook] = ()
    """Their :meth:`~TrainingHook.accumulate` wraps each pass, the first outermost."""

    def __post_init__(self) -> None:
        self.micro_batch_size = self.optimization.micro_batch_size
        self._called = _compiled(self.model, self.optimization.compile)
        self._graphs = self.optimization.compile == "reduce-overhead"
        self._autocast = self.optimization.precision == "bfloat16"
        self._device = next(self.model.parameters()).device

    @contextmanager
    def compiling(self) -> Iterator[None]:
        """Allow more compiled shapes than torch's default inside the ``with`` block."""
        if not self._graphs:
            yield
            return
        from torch._dynamo import config

        with config.patch(cache_size_limit=_MAX_SHAPES):
            yield

    def accumulate(self, batch: np.ndarray, *, progress: float = 1.0) -> torch.Tensor:
        """Add the gradient of a batch's mean loss to the weights' gradients.

        If memory runs out, the micro batch size is halved, also for all later batches, and the
        batch is computed again. The gradient is then the same up to rounding and random draws.

        Args:
            batch: int64 ``(rows,)``, row numbers.
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
            # Outside the handler, whose traceback holds the tensors of the failed attempt.
            self.clear()
            self._halve(len(batch), reason)

    def _sum(self, batch: np.ndarray, progress: float) -> torch.Tensor:
        size = self.micro_batch_size or len(batch)
        backward: Backward = self._backward
        for hook in reversed(self.hooks):
            backward = partial(hook.accumulate, self.model, backward=backward, progress=progress)
        total = torch.zeros((), device=self._device)
        for start in range(0, len(batch), size):
            numbers = batch[start : start + size]
            if self._graphs:
                torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
            rows = [self.rows[i] for i in numbers]
            # Means of micro batches of different sizes count by their rows.
            total += backward(Batch(self._inputs(rows), rows, numbers), len(numbers) / len(batch))
        return total

    def _backward(self, batch: Batch, share: float) -> torch.Tensor:
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._autocast):
            loss: torch.Tensor = self.objective(self._called, batch.inputs, batch.numbers)
        loss = loss.float() * share
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _inputs(self, rows: Sequence[TokenizedText]) -> dict[str, torch.Tensor]:
        inputs = model_inputs(self.model, rows, pad_id=self.pad_id, pad_left=self.pad_left)
        more = -inputs["input_ids"].shape[1] % _LENGTH_MULTIPLE
        if not self._graphs or not more:
            return inputs
        sides = (more, 0) if self.pad_left else (0, more)
        filling = {"input_ids": self.pad_id}
        return {
            name: functional.pad(tensor, sides, value=filling.get(name, 0))
            for name, tensor in inputs.items()
        }

    def _halve(self, rows: int, reason: str) -> None:
        size = min(self.micro_batch_size or rows, rows)
        if size == 1:
            raise EvaluationError(
                f"Memory is not enough for a single text ({reason}). Use a smaller student or "
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
