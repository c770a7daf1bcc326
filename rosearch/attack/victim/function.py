"""Functions from texts to scores as victims."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal

import numpy as np
import torch

from rosearch.attack.victim.victim import Victim, softmax
from rosearch.checks import choice, refused, whole_number
from rosearch.data import Text
from rosearch.encode import Encoding
from rosearch.errors import EvaluationError

Outputs = Literal["auto", "logits", "probabilities"]
TextsToScores = Callable[[list[Any]], Any]
"""A classifier as a function from texts (or pairs) to an array of shape ``(texts, classes)``."""

_SUM_TOLERANCE = 1e-3
_ROUNDED = 0.05


class OutputsError(EvaluationError):
    """A function that returns probabilities returned something else.

    It ends the run: counted as errors of single examples, such outputs would pass for robustness.
    """


class FunctionVictim(Victim):
    """A function from texts to probabilities or logits.

    Args:
        function: Called with a list of texts, or of pairs; returns an array (NumPy, PyTorch, or
            nested lists) of shape ``(texts, classes)``.
        outputs: What the function returns. ``"auto"`` decides on the first call: non-negative rows
            that each sum to 1 are probabilities, anything else is treated as logits.
        batch_size: Maximum number of texts per call.
        encoding: Applied to every text; the function is called with canonical texts, and once for
            those that are equal.

    Raises:
        ArgumentError: ``outputs`` is unknown, or ``batch_size`` is below 1, or ``encoding`` is no
            :class:`~rosearch.encode.Encoding`.
    """

    def __init__(
        self,
        function: TextsToScores,
        *,
        outputs: Outputs = "auto",
        batch_size: int = 1024,
        encoding: Encoding | None = None,
    ) -> None:
        super().__init__()
        self.batch_size = whole_number("batch_size", batch_size)
        self.function = function
        self.outputs: Outputs = choice("outputs", outputs, ("auto", "logits", "probabilities"))
        if not (encoding is None or isinstance(encoding, Encoding)):
            raise refused("encoding", "an Encoding", encoding)
        self.encoding = encoding

    def keys(self, texts: Sequence[Text]) -> Sequence[Hashable]:
        """Return the texts, canonical if there is an encoding."""
        return list(texts) if self.encoding is None else self.encoding(list(texts))

    def compute(self, keys: Sequence[Any]) -> np.ndarray:
        scores = self._scores(list(keys))
        self.check(scores, len(keys))
        return self._as_probabilities(scores)

    def _scores(self, texts: list[Any]) -> np.ndarray:
        returned = self.function(texts)
        if isinstance(returned, torch.Tensor):
            returned = returned.detach().cpu().float().numpy()
        try:
            return np.asarray(returned, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise EvaluationError(
                f"The victim returned {type(returned).__name__}, which is not an array of numbers: "
                f"{error}. Expected shape ({len(texts)}, classes)."
            ) from error

    def _as_probabilities(self, scores: np.ndarray) -> np.ndarray:
        finite = scores[np.isfinite(scores).all(axis=1)]
        deviation = np.abs(finite.sum(axis=1) - 1).max(initial=0)
        if (finite < 0).any():
            deviation = np.inf
        if self.outputs == "auto" and len(finite):
            self.outputs = "probabilities" if deviation < _SUM_TOLERANCE else "logits"
            if _SUM_TOLERANCE <= deviation < _ROUNDED:
                warnings.warn(
                    "The function's rows sum to nearly 1 and are treated as logits. If they are "
                    "rounded probabilities, divide each row by its sum; if they are logits, pass "
                    "FunctionVictim(function, outputs='logits').",
                    stacklevel=2,
                )
            elif self.outputs == "logits" and finite.min() >= 0 and finite.max() <= 1:
                warnings.warn(
                    "The function's outputs lie between 0 and 1, their rows do not sum to 1, and "
                    "they are treated as logits. If they are the probabilities of several labels "
                    "at once, attack one label: return (1 - p, p). If they are logits, pass "
                    "FunctionVictim(function, outputs='logits').",
                    stacklevel=2,
                )
        if self.outputs != "probabilities":
            return softmax(scores)
        if deviation >= _SUM_TOLERANCE:
            raise OutputsError(
                "A row of the function's outputs does not sum to 1, but its first outputs were "
                "probabilities, or outputs='probabilities'. If it returns logits or counts, pass "
                "FunctionVictim(function, outputs='logits')."
            )
        return scores
