"""Searches in bfloat16 with verdicts in float32."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import torch

from rosearch.attack.text import AttackedInput, Words
from rosearch.attack.victim.gradients import TokenGradients
from rosearch.attack.victim.model import ModelVictim
from rosearch.attack.victim.victim import Victim
from rosearch.checks import share
from rosearch.data import Text
from rosearch.tokens import TokenizedText


class Bfloat16Victim(Victim):
    """A model that searches query in bfloat16 and whose verdicts are computed in float32.

    Unchanged texts, final texts, and texts whose two most likely classes differ by less than
    ``margin`` are always computed in float32. A verdict can therefore differ from float32 only
    where the bfloat16 error exceeds the margin. If float32 denies a success that a search
    believed, the search starts again in float32; its earlier queries still count, also towards its
    query budget. A search may prefer another of several nearly equal replacements.

    Args:
        model: See :class:`~rosearch.attack.victim.model.ModelVictim`. It is copied to bfloat16,
            and to float32 if its own weights have lower precision.
        tokenizer: The model's tokenizer.
        margin: Difference of probabilities below which a row is also computed in float32.
        settings: Further arguments of :class:`~rosearch.attack.victim.model.ModelVictim`.

    Raises:
        ArgumentError: ``margin`` is not between 0 and 1, or as for ``ModelVictim``.
        DataError: The tokenizer has no padding token.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        tokenizer: Any,
        *,
        margin: float = 0.05,
        **settings: Any,
    ) -> None:
        self.full = ModelVictim(_in_float32(model), tokenizer, **settings)
        """The model in float32."""
        self.rough = ModelVictim(_copied(model, torch.bfloat16), tokenizer, **settings)
        """The model in bfloat16."""
        self.margin = share("margin", margin)
        super().__init__(exact=self.full)

    def keys(self, texts: Sequence[Text]) -> Sequence[Hashable]:
        """Return token ids."""
        return self.full.keys(texts)

    def compute(self, keys: Sequence[TokenizedText]) -> np.ndarray:
        probabilities = self.rough.compute(keys)
        highest = np.partition(probabilities, -2, axis=1)[:, -2:]
        # The comparison is negated so that NaN in bfloat16 is computed in float32 too.
        close = np.flatnonzero(~(highest[:, 1] - highest[:, 0] >= self.margin))
        if len(close):
            probabilities[close] = self.full.answers([keys[i] for i in close.tolist()])
        return probabilities

    def gradients(
        self, texts: Sequence[Text], labels: Sequence[int], side: int
    ) -> list[TokenGradients]:
        return self.full.gradients(texts, labels, side)

    def visible(self, attacked: AttackedInput, words: Words) -> range:
        return self.full.visible(attacked, words)


def _in_float32(model: torch.nn.Module) -> torch.nn.Module:
    low = (torch.bfloat16, torch.float16)
    if any(parameter.dtype in low for parameter in model.parameters()):
        return _copied(model, torch.float32)
    return model


def _copied(model: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """Return a copy with other floating-point weights; the tokenizer is shared."""
    tokenizer = getattr(model, "tokenizer", None)
    return copy.deepcopy(model, {id(tokenizer): tokenizer}).to(dtype)
