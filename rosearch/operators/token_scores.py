"""Scores of tokens, whose sum is a student's answer or a part of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from rosearch.operators.base import blank
from rosearch.operators.scopes import SCOPES, scopes


class TokenScores(nn.Module):
    """A score of each token for each class; the logits of a text are their sums, and a bias.

    What stands beside a token does not change its score. So the worst of all combinations of
    replacements is the sum of each word's worst, and is known exactly. The scores start at zero.

    With cues, a token has scores for each scope it may stand in: negated or not, before or after a
    contrast. As long as replacements neither are nor replace cues, the same holds.

    Args:
        vocabulary: Tokens.
        classes: Classes.
        padding: Id of the padding token, whose scores stay zero.
        cues: Ids of tokens that open or end scopes, and their kinds, as of
            :func:`rosearch.operators.scopes.cue_tokens`; ``None``: a token's scores are the same
            everywhere.
    """

    def __init__(
        self,
        vocabulary: int,
        classes: int,
        *,
        padding: int | None = None,
        cues: Sequence[Sequence[int]] | None = None,
    ) -> None:
        super().__init__()
        self.classes = classes
        self.cues = None if cues is None else tuple((int(token), int(kind)) for token, kind in cues)
        self.scopes = 1 if cues is None else SCOPES
        # Scores of each scope stand beside each other, so that a vocabulary can grow.
        self.tokens = nn.Embedding(vocabulary, self.scopes * classes, padding_idx=padding)
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
        return self.each(input_ids, mask).sum(dim=1) + self.bias

    def each(self, input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the scores of each token, ``(batch, length, classes)``; see :meth:`forward`."""
        scores: torch.Tensor = blank(self.tokens(input_ids), mask)
        if self.cues is None:
            return scores
        place = self.scopes_of(input_ids, mask)[:, :, None, None]
        of_scopes = scores.view(*input_ids.shape, self.scopes, self.classes)
        return of_scopes.gather(2, place.expand(-1, -1, 1, self.classes)).squeeze(2)

    def scopes_of(self, input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the scope of each token, int64 ``(batch, length)``; see :meth:`forward`."""
        if self.cues is None:
            return torch.zeros_like(input_ids)
        kinds = torch.zeros_like(input_ids)
        for kind in sorted({kind for _, kind in self.cues}):
            tokens = [token for token, own in self.cues if own == kind]
            is_cue = (input_ids[:, :, None] == input_ids.new_tensor(tokens)).any(dim=2)
            kinds = torch.where(is_cue, kind, kinds)
        return scopes(torch.where(mask, kinds, 0))
