"""One update of all trained weights: clip, AdamW, and the tables whose rows may wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from rosearch.distill.lazy import LazyEmbeddings, lazy_tables
from rosearch.distill.optimization import Optimization


class Updates:
    """The optimizer of a model and its objective.

    Args:
        model: The model that learns.
        objective: What it learns by; its parameters are trained too.
        optimization: The settings.
    """

    def __init__(self, model: nn.Module, objective: nn.Module, optimization: Optimization) -> None:
        lazy = optimization.embedding_updates == "lazy" and not optimization.compile
        self.lazy = LazyEmbeddings(
            lazy_tables(model) if lazy else (), weight_decay=optimization.weight_decay
        )
        waiting = {id(table.weight) for table in self.lazy.tables}
        named = nn.ModuleDict({"model": model, "objective": objective}).named_parameters()
        self._named = {name: p for name, p in named if p.requires_grad}
        self.trained = list(self._named.values())
        now = [p for p in self.trained if id(p) not in waiting]
        groups = [
            {"params": [p for p in now if p.ndim > 1], "weight_decay": optimization.weight_decay},
            {"params": [p for p in now if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=optimization.learning_rate, fused=True)
        self.clip = optimization.clip
        self.rate = 0.0
        """Learning rate of the last step."""

    @contextmanager
    def attached(self) -> Iterator[None]:
        """To be open while the model trains."""
        with self.lazy.attached():
            yield

    def step(self, rate: float) -> None:
        """Clip the gradients to the largest norm, update the weights, and forget the gradients.

        Args:
            rate: Learning rate of this step.
        """
        self.rate = rate
        waiting = self.lazy.gradients()
        gradients = waiting + [
            p.grad
            for group in self.optimizer.param_groups
            for p in group["params"]
            if p.grad is not None
        ]
        if not gradients:
            return
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        # A GPU would have to be waited for to know whether there is anything to do.
        if norm.is_cuda or float(norm) > self.clip:
            factor = (self.clip / (norm + 1e-6)).clamp(max=1.0)
            torch._foreach_mul_(gradients, factor)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.lazy.step(rate)
        self.clear()

    def clear(self) -> None:
        """Forget the gradients."""
        for parameter in self.trained:
            parameter.grad = None

    def flush(self) -> None:
        """Bring rows that wait up to date; needed before weights are used or saved."""
        self.lazy.flush()

    def state(self) -> dict[str, torch.Tensor]:
        """All that updates depend on besides the weights, as tensors by name.

        The names are the same whether a table's rows wait or not, so that training may go on where
        they do not, such as on a GPU.
        """
        entries: dict[torch.Tensor, Any] = {**self.optimizer.state, **self.lazy.state()}
        return {
            f"{name}/{part}": value
            for name, parameter in self._named.items()
            for part, value in entries.get(parameter, {}).items()
        }

    def load(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from what :meth:`state` gave."""
        entries: dict[torch.Tensor, dict[str, torch.Tensor]] = {}
        for name, value in state.items():
            owner, _, part = name.rpartition("/")
            entries.setdefault(self._named[owner], {})[part] = value
        self.lazy.load(entries)
        held = [p for group in self.optimizer.param_groups for p in group["params"]]
        numbered = {number: entries[p] for number, p in enumerate(held) if p in entries}
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": numbered, "param_groups": groups})
