"""Scores of tokens, whose sum is a student's answer or a part of it."""

from __future__ import annotations

import torch
from torch import nn

from rosearch.operators.base import blank


class TokenScores(nn.Module):
    """A score of each token for each class; the logits of a text are their sums, and a bias.

    What stands beside a token does not change its score. So the worst of all combinations of
    replacements is the sum of each word's worst, and is known exactly. The scores start at zero.

    Args:
        vocabulary: Tokens.
        classes: Classes.
        padding: Id of the padding token, whose scores stay zero.
    """

    def __init__(self, vocabulary: int, classes: int, *, padding: int | None = None) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, classes, padding_idx=padding)
        self.bias = nn.Parameter(torch.empty(classes))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set all scores to zero."""
        nn.init.zeros_(self.tokens.weight)
        nn.init.zeros_(self.bias)

    def forward(self, input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Sum the scores of texts.

        Args:
            input_ids: int64 ``(batch, length)``.
            mask: bool ``(batch, length)``, true at real tokens.

        Returns:
            ``(batch, classes)``.
        """
        scores: torch.Tensor = blank(self.tokens(input_ids), mask)
        return scores.sum(dim=1) + self.bias
