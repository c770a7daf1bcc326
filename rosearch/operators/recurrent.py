"""Recurrence over the tokens in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from rosearch.operators.base import Operator, registry


@registry.register("bidirectional_gru")
class BidirectionalGRU(Operator):
    """A gated recurrent unit in each direction, half the width each (Cho et al. 2014).

    Args:
        width: Channels, even.
    """

    family = "recurrence"
    source = "Cho et al. 2014"

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.ahead = nn.GRU(width, width // 2, batch_first=True)
        self.back = nn.GRU(width, width // 2, batch_first=True)

    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        # Both directions start at a real token: padding is moved behind the real tokens. With
        # indices on the device, unlike packed sequences, this never waits for a GPU.
        position = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
        ahead = torch.argsort((~mask).long(), dim=1, stable=True)
        count = mask.sum(dim=1, keepdim=True)
        back = ahead.gather(1, torch.where(position < count, count - 1 - position, position))
        parts = []
        for unit, order in ((self.ahead, ahead), (self.back, back)):
            index = order.unsqueeze(-1)
            states, _ = unit(hidden.gather(1, index.expand_as(hidden)))
            home = torch.argsort(order, dim=1).unsqueeze(-1)
            parts.append(states.gather(1, home.expand_as(states)))
        return torch.cat(parts, dim=-1)

    @classmethod
    def complaint(cls, width: int, parameters: Mapping[str, Any]) -> str | None:
        return None if width % 2 == 0 else f"the width {width} is odd, each direction gets half"
