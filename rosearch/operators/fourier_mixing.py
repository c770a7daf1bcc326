"""Mixing tokens and channels by a Fourier transform."""

from __future__ import annotations

import math

import torch

from rosearch.operators.base import Operator, registry, unpadded


def waves(
    count: torch.Tensor, position: torch.Tensor, *, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosine and sine matrices of the unitary discrete Fourier transform.

    Args:
        count: int64 ``(..., 1)``, number of points of the transform.
        position: int64 ``(..., n)``, numbers of the points, from 0 to ``count - 1``.
        dtype: Dtype of the result; angles are computed in float32.

    Returns:
        Two tensors ``(..., n, n)``.
    """
    points = count.unsqueeze(-1)
    # Whole turns are removed in integers: float32 has too few digits for them in long texts.
    turn = (position.unsqueeze(-1) * position.unsqueeze(-2)) % points
    angle = turn.float() * (2 * math.pi / points.float())
    scale = points.float().rsqrt()
    return (torch.cos(angle) * scale).to(dtype), (torch.sin(angle) * scale).to(dtype)


@registry.register("fourier_mixing")
class FourierMixing(Operator):
    """The real part of a Fourier transform over tokens and channels (FNet, Lee-Thorp et al. 2021,
    equation 3), without parameters.

    FNet transforms a whole padded batch, so that outputs depend on the padding. Here the transform
    of a row runs over its real tokens, and it is unitary, so that values keep their scale. It is
    written as real matrix products, which every exporter supports.
    """

    family = "mixing"
    source = "Lee-Thorp et al. 2021 (FNet), equation 3"

    def compute(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        dtype, device = hidden.dtype, hidden.device
        channel = torch.arange(self.width, device=device)
        points = torch.full((1,), self.width, device=device)
        cosine, sine = waves(points, channel, dtype=dtype)
        across = hidden @ torch.cat((cosine, sine), dim=1)
        if unpadded(mask):
            mask = mask[:1]
        position = (mask.long().cumsum(dim=1) - 1).clamp(min=0)
        count = mask.sum(dim=1, keepdim=True).clamp(min=1)
        cosine, sine = waves(count, position, dtype=dtype)
        # Re((C - iS) x (C' - iS')) = C x C' - S x S'.
        return cosine @ across[..., : self.width] - sine @ across[..., self.width :]
