"""The classifier under attack, as the engine sees it: texts in, probabilities out."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal

import numpy as np
import torch

from rosearch.attack.settings import check_whole
from rosearch.attack.text import AttackedInput, Words
from rosearch.attack.victim.gradients import RowsOf, TokenGradients, token_gradients
from rosearch.attack.victim.tokenization import IncrementalTokenizer
from rosearch.data import Text
from rosearch.errors import DataError, EvaluationError
from rosearch.tokens import Encoding, position_limit, predict

Outputs = Literal["auto", "logits", "probabilities"]
Precision = Literal["float32", "bfloat16"]
TextsToScores = Callable[[list[Any]], Any]
"""A classifier as a plain function: texts (or pairs) to an array of shape ``(texts, classes)``."""

_ROWS_KEPT = 1 << 18
_SUM_TOLERANCE = 1e-3


class Victim(ABC):
    """Base of victims: removes duplicates, remembers answers, counts what was computed.

    One victim is one model in one state. Make a new one when weights change: answers are
    remembered for as long as the victim lives.

    Args:
        classes: Number of classes, where known; checked against what the model gives.
    """

    def __init__(self, *, classes: int | None = None) -> None:
        self.classes = classes
        self._computed = 0
        self._rows: dict[Hashable, int] = {}
        self._texts: dict[Text, int] = {}
        self._table = np.empty((0, 0), dtype=np.float32)

    @property
    def forward_rows(self) -> int:
        """Rows that the model computed, each distinct one once."""
        return self._computed

    @property
    def exact(self) -> Victim:
        """The victim that verdicts are taken from: this one, unless it only screens."""
        return self

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

    def visible(self, attacked: AttackedInput, words: Words) -> range:
        """Which words of the attacked side the model reads: those that truncation leaves."""
        return range(len(words))

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

    def answers(self, keys: Sequence[Hashable]) -> np.ndarray:
        """float32 probabilities of shape ``(keys, classes)`` by what :meth:`keys` gives."""
        self._add_rows(keys)
        return self._table[[self._rows[key] for key in keys]]

    def probabilities(self, texts: Sequence[Text]) -> np.ndarray:
        """float32 probabilities of shape ``(texts, classes)``, from memory where known."""
        if not texts:
            return np.empty((0, self.classes or 0), dtype=np.float32)
        if len(self._rows) > _ROWS_KEPT:
            self.forget()
        known = self._texts
        unseen = list(dict.fromkeys(text for text in texts if text not in known))
        if unseen:
            self._add(unseen)
        return self._table[[known[text] for text in texts]]

    def forget(self) -> None:
        """Drop all remembered answers."""
        self._rows, self._texts = {}, {}
        self._table = self._table[:0]

    def _add(self, texts: Sequence[Text]) -> None:
        keys = self.keys(texts)
        self._add_rows(keys)
        rows = self._rows
        self._texts.update(zip(texts, map(rows.__getitem__, keys), strict=True))

    def _add_rows(self, keys: Sequence[Hashable]) -> None:
        rows = self._rows
        new = list(dict.fromkeys(key for key in keys if key not in rows))
        if not new:
            return
        computed = self.compute(new)
        self._check(computed, len(new))
        self._computed += len(new)
        start = len(rows)
        if start + len(new) > len(self._table):
            table = np.empty((2 * (start + len(new)), self.classes or 0), dtype=np.float32)
            if start:
                table[:start] = self._table[:start]
            self._table = table
        self._table[start : start + len(new)] = computed
        rows.update(zip(new, range(start, start + len(new)), strict=True))

    def expect(self, classes: int | None) -> None:
        """Note how many classes the data set has.

        Raises:
            EvaluationError: This victim tells another number of classes apart.
        """
        if classes is None or self.classes == classes:
            return
        if self.classes is not None:
            raise EvaluationError(_other_classes(self.classes, classes))
        self.classes = classes

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
            raise EvaluationError(_other_classes(computed.shape[1], self.classes))


class ModelVictim(Victim):
    """A Hugging Face sequence classifier and its tokenizer, on the device the model is on.

    Args:
        model: Called with ``input_ids``, ``attention_mask`` (and ``token_type_ids`` where the
            tokenizer gives any that count); returns an object with ``logits``.
        tokenizer: Its tokenizer.
        max_length: Longest input in tokens, special tokens included; no more than tokenizer and
            model allow, which is the default.
        token_budget: Tokens of a batch, padding included. Halved when memory runs out.
        classes: Number of classes, where known.

    Raises:
        DataError: ``max_length`` is no whole number from 3 or ``token_budget`` none from 1, or the
            tokenizer has no padding token.
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
        # Two special tokens around at least one of the text; more would be refused by the model.
        asked = None if max_length is None else check_whole("max_length", max_length, least=3)
        limits = [limit for limit in (asked, position_limit(model)) if limit is not None]
        self.tokens = IncrementalTokenizer(tokenizer, max_length=min(limits, default=None))
        if token_budget is None:
            on_cpu = next(model.parameters()).device.type == "cpu"
            # A CPU gains nothing from larger batches, and small ones hold less padding.
            token_budget = 2048 if on_cpu else 65536
        self.token_budget = check_whole("token_budget", token_budget)

    def keys(self, texts: Sequence[Text]) -> Sequence[Hashable]:
        """Token ids: texts that tokenise alike are one row, so that ties are exact."""
        return self.tokens.encode(texts)

    def compute(self, keys: Sequence[Encoding]) -> np.ndarray:
        while True:
            try:
                logits = predict(
                    self.model,
                    keys,
                    pad_id=self.tokens.pad_id,
                    pad_left=self.tokens.pad_left,
                    token_budget=self.token_budget,
                )
                break
            except torch.OutOfMemoryError:
                if self.token_budget <= self.tokens.max_length:
                    raise
                self.token_budget //= 2
        return _softmax(logits)

    def gradients(
        self, texts: Sequence[Text], labels: Sequence[int], side: int
    ) -> list[TokenGradients]:
        def rows_of(text: Text) -> RowsOf:
            attacked = AttackedInput(text, side)
            return lambda variants: self.tokens.encode([attacked.whole(v) for v in variants])

        return token_gradients(
            self.model,
            self.tokens.tokenizer,
            texts,
            labels,
            side=side,
            max_length=self.tokens.max_length,
            pad_id=self.tokens.pad_id,
            pad_left=self.tokens.pad_left,
            token_budget=self.token_budget,
            rows_of=rows_of,
        )

    def verify(self, texts: Sequence[Text]) -> None:
        """Check that incremental tokenisation equals whole tokenisation on ``texts``."""
        if not self.tokens.verify(texts):
            # Answers found under the wrong tokens must not be given again.
            self.forget()

    def visible(self, attacked: AttackedInput, words: Words) -> range:
        if len(self.tokens.encode([attacked.text])[0].ids) < self.tokens.max_length:
            return range(len(words))
        span = self.tokens.visible_span(attacked.text, attacked.side)
        if span is None:
            return range(len(words))
        hidden = sum(end <= span[0] for _, end in words.spans)
        return range(hidden, max(hidden, sum(start < span[1] for start, _ in words.spans)))


class OutputsError(EvaluationError):
    """A function's first answers looked like probabilities, and later ones are none.

    It ends the run: as errors of single examples, these would pass for robustness.
    """


class FunctionVictim(Victim):
    """A plain function from texts to probabilities or logits.

    Args:
        function: Called with a list of texts, or of pairs; returns an array (NumPy, PyTorch, or
            nested lists) of shape ``(texts, classes)``.
        outputs: What the numbers are. ``"auto"`` decides on the first call: rows without negative
            numbers that all sum to one are probabilities, anything else goes through a softmax.
        classes: Number of classes, where known.
        batch_size: Most texts in one call. An attack asks about tens of thousands at a time.

    Raises:
        DataError: ``outputs`` is none of these, or ``batch_size`` no whole number from 1.
    """

    def __init__(
        self,
        function: TextsToScores,
        *,
        outputs: Outputs = "auto",
        classes: int | None = None,
        batch_size: int = 1024,
    ) -> None:
        super().__init__(classes=classes)
        self.batch_size = check_whole("batch_size", batch_size)
        if outputs not in ("auto", "logits", "probabilities"):
            raise DataError(f"outputs is 'auto', 'logits' or 'probabilities', got {outputs!r}.")
        self.function = function
        self.outputs: Outputs = outputs
        self._judged = outputs == "auto"

    def keys(self, texts: Sequence[Text]) -> Sequence[Hashable]:
        """The texts themselves."""
        return list(texts)

    def compute(self, keys: Sequence[Any]) -> np.ndarray:
        parts = []
        for start in range(0, len(keys), self.batch_size):
            part = keys[start : start + self.batch_size]
            parts.append(self._answers(part))
            self._check(parts[-1], len(part))
        return np.concatenate(parts)

    def _answers(self, keys: Sequence[Any]) -> np.ndarray:
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
            if not likely and (finite >= 0).all() and (np.abs(finite.sum(axis=1) - 1) < 0.05).all():
                warnings.warn(
                    "The function's rows sum to nearly one, and not to one: they are taken for "
                    "logits. If they are rounded probabilities, divide each row by its sum; if "
                    "they are logits, say so: FunctionVictim(function, outputs='logits').",
                    stacklevel=2,
                )
        if self.outputs == "probabilities":
            if not likely:
                if self._judged:
                    raise OutputsError(
                        "The function's first answers were probabilities (each row sums to one), "
                        "and now a row does not sum to one. If it gives logits or counts, say so: "
                        "FunctionVictim(function, outputs='logits')."
                    )
                raise EvaluationError(
                    "Expected probabilities, as outputs='probabilities' says, and a row does not "
                    "sum to one."
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
    precision: Precision = "float32",
) -> Victim:
    """A :class:`Victim` from whatever people have.

    Args:
        model: A :class:`Victim`, a Hugging Face sequence classifier, an object with attributes
            ``model`` and ``tokenizer`` (a teacher), or a function from texts to an array of shape
            ``(texts, classes)``.
        tokenizer: The model's tokenizer. Default: ``model.tokenizer``.
        classes: Number of classes of the data set.
        max_length: See :class:`ModelVictim`.
        token_budget: See :class:`ModelVictim`.
        precision: ``"bfloat16"``: a model becomes a
            :class:`~rosearch.attack.victim.precision.Bfloat16Victim`. Victims and functions stay as
            they are.

    Raises:
        DataError: A model came without a tokenizer, or ``model`` is none of the three.
    """
    if isinstance(model, Victim):
        model.expect(classes)
        return model
    inner = getattr(model, "model", None)
    if isinstance(inner, torch.nn.Module) and not isinstance(model, torch.nn.Module):
        # A teacher, or whatever else carries a model and its tokenizer.
        model, tokenizer = inner, tokenizer or getattr(model, "tokenizer", None)
    if isinstance(model, torch.nn.Module):
        tokenizer = tokenizer if tokenizer is not None else getattr(model, "tokenizer", None)
        if tokenizer is None:
            raise DataError(
                f"{type(model).__name__} has no tokenizer attribute. Give its tokenizer as the "
                f"second argument."
            )
        kind: type[ModelVictim] = ModelVictim
        if precision == "bfloat16":
            from rosearch.attack.victim.precision import Bfloat16Victim

            kind = Bfloat16Victim
        return kind(
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


def _other_classes(given: int, expected: int) -> str:
    return (
        f"The victim gives {given} classes, the data set has {expected}. Attack a model that was "
        f"trained for these labels; if the data lack some of its classes, name them all with "
        f"TextDataset(..., classes=[...])."
    )


def _softmax(scores: np.ndarray) -> np.ndarray:
    # PyTorch's, in float32: TextAttack computes it so, and rounding decides ties.
    return torch.softmax(torch.from_numpy(scores), dim=1).numpy()
