"""Outputs of a teacher for examples that lie in several places, read as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from rosearch.distill.losses.base import Outputs
from rosearch.distill.teacher.outputs import TeacherOutputs


class JoinedOutputs:
    """Several :class:`~rosearch.distill.teacher.outputs.TeacherOutputs` as one.

    Args:
        parts: The outputs, all of the same kinds and the same storage; at least one.
    """

    def __init__(self, parts: Sequence[TeacherOutputs]) -> None:
        self.parts = tuple(parts)
        self._starts = np.cumsum([0, *(len(part.index) for part in self.parts)])

    def logits(self) -> np.ndarray:
        """All logits, float32 ``(examples, classes)``."""
        return np.concatenate([part.logits() for part in self.parts])

    def batch(
        self, rows: np.ndarray, *, length: int, device: torch.device | str = "cpu"
    ) -> Outputs:
        """As :meth:`rosearch.distill.teacher.outputs.TeacherOutputs.batch`.

        Args:
            rows: int64 ``(batch,)``, numbers of examples, counted through all parts.
            length: Tokens to pad to.
            device: Where the tensors are to be.
        """
        owners = np.searchsorted(self._starts, rows, side="right") - 1
        places, found = [], []
        for owner in np.unique(owners):
            chosen = np.flatnonzero(owners == owner)
            places.append(chosen)
            own = rows[chosen] - self._starts[owner]
            found.append(self.parts[owner].batch(own, length=length, device=device))
        back = torch.from_numpy(np.argsort(np.concatenate(places))).to(device)

        def one(read: Callable[[Outputs], torch.Tensor | None]) -> torch.Tensor | None:
            tensors = [tensor for tensor in map(read, found) if tensor is not None]
            return torch.cat(tensors)[back] if tensors else None

        def layers(
            read: Callable[[Outputs], Mapping[int, torch.Tensor]],
        ) -> dict[int, torch.Tensor]:
            each = [read(outputs) for outputs in found]
            return {n: torch.cat([tensors[n] for tensors in each])[back] for n in each[0]}

        return Outputs(
            logits=one(lambda outputs: outputs.logits),
            pooled=one(lambda outputs: outputs.pooled),
            hidden_states=layers(lambda outputs: outputs.hidden_states),
            values=layers(lambda outputs: outputs.values),
        )
