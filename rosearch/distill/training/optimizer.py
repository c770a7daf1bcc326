"""One update of all trained weights: gradient clipping, then AdamW."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from rosearch.distill.training.settings import Optimization


class Updates:
    """The optimizer of a model and its objective.

    Args:
        model: The model to train.
        objective: The objective; its parameters are trained too.
        optimization: The settings.
    """

    def __init__(self, model: nn.Module, objective: nn.Module, optimization: Optimization) -> None:
        named = nn.ModuleDict({"model": model, "objective": objective}).named_parameters()
        self._named = {name: p for name, p in named if p.requires_grad}
        self.trained = list(self._named.values())
        groups = [
            {
                "params": [p for p in self.trained if p.ndim > 1],
                "weight_decay": optimization.weight_decay,
            },
            {"params": [p for p in self.trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=optimization.learning_rate, fused=True)
        self.clip = optimization.clip
        self.rate = 0.0
        """Learning rate of the last step."""

    def step(self, rate: float) -> None:
        """Clip the gradients, update the weights, and discard the gradients.

        Args:
            rate: Learning rate of this step.
        """
        self.rate = rate
        torch.nn.utils.clip_grad_norm_(self.trained, self.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.clear()

    def clear(self) -> None:
        """Discard the gradients."""
        self.optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the optimizer's state as tensors, by the names of the weights."""
        return {
            f"{name}/{part}": value
            for name, parameter in self._named.items()
            for part, value in self.optimizer.state.get(parameter, {}).items()
        }

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore what :meth:`state` returned."""
        for name, value in state.items():
            owner, _, part = name.rpartition("/")
            parameter = self._named[owner]
            self.optimizer.state[parameter][part] = value.to(parameter.device)
