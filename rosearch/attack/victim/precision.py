"""Search with cheap answers, judge with exact ones."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from rosearch.attack.settings import check_number, name_of
from rosearch.attack.victim.gradients import TokenGradients
from rosearch.attack.victim.victim import FunctionVictim, ModelVictim, Victim
from rosearch.data import Text
from rosearch.tokens import Encoding


class Bfloat16Victim(ModelVictim):
    """A model that searches ask in bfloat16, and whose verdicts come from float32.

    Unchanged texts and the texts that searches settle on are judged in float32 always, and so is
    every text whose two likeliest classes are closer than ``margin``: a verdict can differ from
    float32's only where bfloat16 is off by more than that, and then the search that believed it
    begins again in float32. What it asked until then stays counted, and paid by its query budget,
    so such a search reports more queries than one in float32. What else may differ is which of
    several nearly equal replacements a search prefers.

    Args:
        model: See :class:`~rosearch.attack.victim.victim.ModelVictim`; a copy in bfloat16 is made
            of it, and one in float32 where its own weights are of lower precision.
        tokenizer: Its tokenizer.
        margin: Difference of probabilities below which a row is computed in float32 too.
        settings: Further arguments of :class:`~rosearch.attack.victim.victim.ModelVictim`.

    Raises:
        DataError: ``margin`` is not from 0 to 1, or as for ``ModelVictim``.
    """

    def __init__(
        self, model: torch.nn.Module, tokenizer: Any, *, margin: float = 0.05, **settings: Any
    ) -> None:
        self._exact = ModelVictim(_float32(model), tokenizer, **settings)
        super().__init__(_copied(model, torch.bfloat16), tokenizer, **settings)
        self.tokens = self._exact.tokens
        self.margin = check_number("margin", margin, least=0.0, most=1.0)

    @property
    def exact(self) -> Victim:
        """The model in float32."""
        return self._exact

    @property
    def forward_rows(self) -> int:
        """Rows computed in bfloat16 and in float32 together."""
        return self._computed + self._exact.forward_rows

    @property
    def exact_rows(self) -> int:
        """Rows computed in float32."""
        return self._exact.forward_rows

    def compute(self, keys: Sequence[Encoding]) -> np.ndarray:
        probabilities = super().compute(keys)
        highest = np.partition(probabilities, -2, axis=1)[:, -2:]
        # A row that is not a number is close too, so that float32 has the last word on it.
        close = np.flatnonzero(~(highest[:, 1] - highest[:, 0] >= self.margin))
        if len(close):
            probabilities[close] = self._exact.answers([keys[i] for i in close.tolist()])
        return probabilities

    def gradients(
        self, texts: Sequence[Text], labels: Sequence[int], side: int
    ) -> list[TokenGradients]:
        return self._exact.gradients(texts, labels, side)

    def verify(self, texts: Sequence[Text]) -> None:
        before = self.tokens.reason
        super().verify(texts)
        if self.tokens.reason != before:
            self._exact.forget()


def describe_victim(victim: Victim) -> dict[str, Any]:
    """How a victim answers, as JSON has it.

    Of a model: the type of its parameters, the type that searches ask where it is another, and the
    longest input in tokens. Of anything else: what kind of victim it is.
    """
    exact = victim.exact
    if not isinstance(exact, ModelVictim):
        kind = "function" if isinstance(exact, FunctionVictim) else name_of(exact)
        return {"kind": kind}
    screen = victim if isinstance(victim, ModelVictim) and victim is not exact else None
    return {
        "kind": "model",
        "dtype": _dtype(exact.model),
        "screening_dtype": None if screen is None else _dtype(screen.model),
        "max_length": exact.tokens.max_length,
        "tokenizer": type(exact.tokens.tokenizer).__name__,
    }


def _dtype(model: torch.nn.Module) -> str:
    """The type of a model's parameters; all of them where there are several."""
    found = {str(p.dtype).removeprefix("torch.") for p in model.parameters()}
    return ", ".join(sorted(found))


def _float32(model: torch.nn.Module) -> torch.nn.Module:
    low = (torch.bfloat16, torch.float16)
    if any(parameter.dtype in low for parameter in model.parameters()):
        return _copied(model, torch.float32)
    return model


def _copied(model: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """A copy of another precision, without copying what changes anyway, nor the tokenizer."""
    memo: dict[int, Any] = {id(b): b.to(dtype) for b in model.buffers() if b.is_floating_point()}
    for p in model.parameters():
        if p.is_floating_point():
            memo[id(p)] = torch.nn.Parameter(p.detach().to(dtype), requires_grad=p.requires_grad)
    tokenizer = getattr(model, "tokenizer", None)
    return copy.deepcopy(model, {**memo, id(tokenizer): tokenizer})
