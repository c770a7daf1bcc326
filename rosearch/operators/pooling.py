"""Average and maximum over a window of tokens.

As images of height one in the channels-last layout, so that nothing is transposed in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn import functional

from rosearch.operators.base import Choice, Operator, registry, unpadded


class Window(Operator):
    """A function of the ``window`` tokens around each.

    Args:
        width: Channels.
        window: Tokens in the window, odd.
    """

    choices = {"window": Choice(3, 5, 7)}
    family = "pooling"

    def __init__(self, width: int, *, window: int) -> None:
        super().__init__(width)
        self.window = window

    @classmethod
    def reach(cls, parameters: Mapping[str, Any]) -> float:
        return float(parameters["window"] // 2)


@registry.register("average_pooling")
class AveragePooling(Window):
    """Mean of the real tokens among the ``window`` around each token.

    Args:
        width: Channels.
        window: Tokens in the window, odd.
    """

    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        def mean(x: torch.Tensor) -> torch.Tensor:
            image = x.transpose(1, 2).unsqueeze(2)
            out = functional.avg_pool2d(
                image, (1, self.window), stride=1, padding=(0, self.window // 2)
            )
            return out.squeeze(2).transpose(1, 2)

        # Both means divide by the window, so their quotient divides by the real tokens in it; of
        # a batch without padding one row tells for all.
        seen = (mask[:1] if unpadded(mask) else mask).unsqueeze(-1).to(hidden.dtype)
        return mean(hidden) * mean(seen).clamp(min=0.5 / self.window).reciprocal()


@registry.register("max_pooling")
class MaxPooling(Window):
    """Maximum, by channel, of the real tokens among the ``window`` around each token.

    Args:
        width: Channels.
        window: Tokens in the window, odd.
    """

    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if not unpadded(mask):
            # Padding is zero, and now becomes the lowest number there is.
            lowest = torch.finfo(hidden.dtype).min
            hidden = hidden + (~mask).to(hidden.dtype).unsqueeze(-1) * lowest
        image = hidden.transpose(1, 2).unsqueeze(2)
        out = functional.max_pool2d(
            image, (1, self.window), stride=1, padding=(0, self.window // 2)
        )
        return out.squeeze(2).transpose(1, 2)
