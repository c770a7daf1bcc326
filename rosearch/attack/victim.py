"""The classifier under attack, as the engine sees it: texts in, probabilities out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from rosearch.attack.settings import check_whole
from rosearch.attack.text import AttackedInput, Words
from rosearch.attack.tokenization import IncrementalTokenizer
from rosearch.data import Text
from rosearch.encoding import Encoding, position_limit, predict
from rosearch.errors import DataError, EvaluationError

Outputs = Literal["auto", "logits", "probabilities"]
TextsToScores = Callable[[list[Any]], Any]
"""A classifier as a plain function: texts (or pairs) to an array of shape ``(texts, classes)``."""

_ROWS_KEPT = 1 << 18
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class TokenGradients:
    """Gradients of the loss with respect to the tokens' embeddings, for the attacked side."""

    ids: np.ndarray
    """Token ids, int64, shape ``(tokens,)``; special tokens are left out."""
    spans: np.ndarray
    """Start and end of each token in the attacked text, in characters, shape ``(tokens, 2)``."""
    gradients: np.ndarray
    """float32, shape ``(tokens, width)``."""

    def within(self, start: int, end: int) -> np.ndarray:
        """Positions of the tokens that share characters with ``[start, end)``."""
        return np.flatnonzero((self.spans[:, 0] < end) & (self.spans[:, 1] > start))


class Victim(ABC):
    """Base of victims: removes duplicates, remembers answers, counts what was computed.

    One victim is one model in one state. Make a new one when weights change: answers are
    remembered for as long as the victim lives.

    Args:
        classes: Number of classes, where known; checked against what the model gives.
    """

    def __init__(self, *, classes: int | None = None) -> None:
        self.classes = classes
        self.forward_rows = 0
        """Rows that the model computed, each distinct one once."""
        self._rows: dict[Hashable, int] = {}
        self._texts: dict[Text, int] = {}
        self._table = np.empty((0, 0), dtype=np.float32)

    @abstractmethod
    def keys(self, texts: Sequence[Text]) -> Sequence[Hashable]:
        """What the model tells texts apart by; equal keys share one row."""

    @abstractmethod
    def compute(self, keys: Sequence[Any]) -> np.ndarray:
        """Probabilities of distinct rows, float32, shape ``(rows, classes)``; NaN where the
        model gave none.
        """

    def verify(self, texts: Sequence[Text]) -> None:  # noqa: B027 - functions assume nothing
        """Check assumptions on texts of the run."""

    def visible_words(self, attacked: AttackedInput, words: Words) -> int:
        """How many words of the attacked side the model reads before it truncates."""
        return len(words)

    def gradients(
        self, texts: Sequence[Text], labels: Sequence[int], side: int
    ) -> list[TokenGradients]:
        """How the loss changes with the embedding of each token, for white-box attacks.

        Args:
            texts: Inputs of the model.
            labels: Their classes; the loss is the cross-entropy with these.
            side: Which text of a pair is attacked.

        Raises:
            EvaluationError: This victim shows its answers only.
        """
        raise EvaluationError(
            "This attack needs the victim's gradients, and a function shows its answers only. "
            "Give the model itself and its tokenizer, or choose an attack that needs no gradients."
        )

    def probabilities(self, texts: Sequence[Text]) -> np.ndarray:
        """float32 probabilities of shape ``(texts, classes)``, from memory where known."""
        if not texts:
            return np.empty((0, self.classes or 0), dtype=np.float32)
        if len(self._rows) > _ROWS_KEPT:
            self._rows, self._texts = {}, {}
            self._table = self._table[:0]
        known = self._texts
        unseen = list(dict.fromkeys(text for text in texts if text not in known))
        if unseen:
            self._add(unseen)
        return self._table[[known[text] for text in texts]]

    def _add(self, texts: Sequence[Text]) -> None:
        rows = self._rows
        keys = self.keys(texts)
        new = list(dict.fromkeys(key for key in keys if key not in rows))
        if new:
            computed = self.compute(new)
            self._check(computed, len(new))
            self.forward_rows += len(new)
            start = len(rows)
            if start + len(new) > len(self._table):
                table = np.empty((2 * (start + len(new)), self.classes or 0), dtype=np.float32)
                if start:
                    table[:start] = self._table[:start]
                self._table = table
            self._table[start : start + len(new)] = computed
            rows.update(zip(new, range(start, start + len(new)), strict=True))
        self._texts.update(zip(texts, map(rows.__getitem__, keys), strict=True))

    def _check(self, computed: np.ndarray, rows: int) -> None:
        if computed.ndim != 2 or len(computed) != rows:
            raise EvaluationError(
                f"The victim was given {rows} texts and answered with shape {computed.shape}. "
                f"Expected one row a text and one column a class: ({rows}, classes)."
            )
        if self.classes is None:
            self.classes = computed.shape[1]
            if self.classes < 2:
                raise EvaluationError(
                    "The victim gives one number a text. Expected a column for each class, two "
                    "at least; for a binary classifier give the probabilities of both."
                )
        if computed.shape[1] != self.classes:
            raise EvaluationError(
                f"The victim gives {computed.shape[1]} classes, the data set has {self.classes}. "
                f"Attack a model that was trained for these labels."
            )


class ModelVictim(Victim):
    """A Hugging Face sequence classifier and its tokenizer, on the device the model is on.

    Args:
        model: Called with ``input_ids``, ``attention_mask`` (and ``token_type_ids`` for pairs);
            returns an object with ``logits``.
        tokenizer: Its tokenizer.
        max_length: Longest input in tokens. Default: the tokenizer's limit, and no more than
            the model has positions for.
        token_budget: Tokens of a batch, padding included. Halved when memory runs out.
        classes: Number of classes, where known.

    Raises:
        DataError: ``max_length`` or ``token_budget`` is no whole number from 1, or the tokenizer
            has no padding token.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        tokenizer: Any,
        *,
        max_length: int | None = None,
        token_budget: int | None = None,
        classes: int | None = None,
    ) -> None:
        super().__init__(classes=classes)
        self.model = model
        if max_length is not None:
            max_length = check_whole("max_length", max_length)
        elif hasattr(model, "config"):
            max_length = position_limit(model)
        self.tokens = IncrementalTokenizer(tokenizer, max_length=max_length)
        if token_budget is None:
            on_cpu = next(model.parameters()).device.type == "cpu"
            # A CPU gains nothing from larger batches, and small ones hold less padding.
            token_budget = 1024 if on_cpu else 65536
        self.token_budget = check_whole("token_budget", token_budget)

    def keys(self, texts: Sequence[Text]) -> Sequence[Hashable]:
        """Token ids: texts that tokenise alike are one row, so that ties are exact."""
        return self.tokens.encode(texts)

    def compute(self, keys: Sequence[Encoding]) -> np.ndarray:
        while True:
            try:
                logits = predict(
                    self.model, keys, pad_id=self.tokens.pad_id, token_budget=self.token_budget
                )
                break
            except torch.OutOfMemoryError:
                if self.token_budget <= self.tokens.max_length:
                    raise
                self.token_budget //= 2
        return _softmax(logits)

    def verify(self, texts: Sequence[Text]) -> None:
        """Check that incremental tokenisation equals whole tokenisation on ``texts``."""
        if not self.tokens.verify(texts):
            # Answers found under the wrong tokens must not be given again.
            self._rows, self._texts = {}, {}

    def visible_words(self, attacked: AttackedInput, words: Words) -> int:
        if len(self.tokens.encode([attacked.text])[0].ids) < self.tokens.max_length:
            return len(words)
        end = self.tokens.visible_end(attacked.text, attacked.side)
        if end is None:
            return len(words)
        return sum(start < end for start, _ in words.spans)


class FunctionVictim(Victim):
    """A plain function from texts to probabilities or logits.

    Args:
        function: Called with a list of texts, or of pairs; returns an array (NumPy, PyTorch, or
            nested lists) of shape ``(texts, classes)``.
        outputs: What the numbers are. ``"auto"`` decides on the first call: rows without negative
            numbers that all sum to one are probabilities, anything else goes through a softmax.
        classes: Number of classes, where known.
    """

    def __init__(
        self, function: TextsToScores, *, outputs: Outputs = "auto", classes: int | None = None
    ) -> None:
        super().__init__(classes=classes)
        if outputs not in ("auto", "logits", "probabilities"):
            raise DataError(f"outputs is 'auto', 'logits' or 'probabilities', got {outputs!r}.")
        self.function = function
        self.outputs: Outputs = outputs

    def keys(self, texts: Sequence[Text]) -> Sequence[Hashable]:
        """The texts themselves."""
        return list(texts)

    def compute(self, keys: Sequence[Any]) -> np.ndarray:
        given = self.function(list(keys))
        if isinstance(given, torch.Tensor):
            given = given.detach().cpu().float().numpy()
        try:
            scores = np.asarray(given, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise EvaluationError(
                f"The victim answered with {type(given).__name__}, which is no array of numbers: "
                f"{error}. Expected shape ({len(keys)}, classes)."
            ) from error
        if scores.ndim != 2:
            return scores
        finite = scores[np.isfinite(scores).all(axis=1)]
        likely = bool(
            (finite >= 0).all() and (np.abs(finite.sum(axis=1) - 1) < _SUM_TOLERANCE).all()
        )
        if self.outputs == "auto" and len(finite):
            self.outputs = "probabilities" if likely else "logits"
        if self.outputs == "probabilities":
            if not likely:
                raise EvaluationError(
                    "Expected probabilities (said so, or judged by the first answers), and a row "
                    "does not sum to one. Give all rows as probabilities, or as logits with "
                    "FunctionVictim(function, outputs='logits')."
                )
            return scores
        return _softmax(scores)


def make_victim(
    model: Any,
    tokenizer: Any = None,
    *,
    classes: int | None = None,
    max_length: int | None = None,
    token_budget: int | None = None,
) -> Victim:
    """A :class:`Victim` from whatever people have.

    Args:
        model: A :class:`Victim`, a Hugging Face sequence classifier, or a function from texts to
            an array of shape ``(texts, classes)``.
        tokenizer: The model's tokenizer. Default: ``model.tokenizer``.
        classes: Number of classes of the data set.
        max_length: See :class:`ModelVictim`.
        token_budget: See :class:`ModelVictim`.

    Raises:
        DataError: A model came without a tokenizer, or ``model`` is none of the three.
    """
    if isinstance(model, Victim):
        return model
    if isinstance(model, torch.nn.Module):
        tokenizer = tokenizer if tokenizer is not None else getattr(model, "tokenizer", None)
        if tokenizer is None:
            raise DataError(
                f"{type(model).__name__} has no tokenizer attribute. Give its tokenizer: "
                f"evaluate(model, tokenizer=...)."
            )
        return ModelVictim(
            model,
            tokenizer,
            classes=classes,
            max_length=max_length,
            token_budget=token_budget,
        )
    if callable(model):
        return FunctionVictim(model, classes=classes)
    raise DataError(
        f"Cannot attack {type(model).__name__}. Expected a Hugging Face sequence classifier, or a "
        f"function from a list of texts to an array of shape (texts, classes)."
    )


def _softmax(scores: np.ndarray) -> np.ndarray:
    # PyTorch's, in float32: TextAttack computes it so, and rounding decides ties.
    return torch.softmax(torch.from_numpy(scores), dim=1).numpy()
