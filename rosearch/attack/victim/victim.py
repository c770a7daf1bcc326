"""The interface between the engine and the classifier under attack."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import torch

from rosearch.attack.text import AttackedInput, Words
from rosearch.attack.victim.gradients import TokenGradients
from rosearch.attack.victim.memory import BoundedMemory, digest, size_of
from rosearch.data import Text
from rosearch.errors import EvaluationError


class RowStore(ABC):
    """Rows that the victim of an earlier run computed, and where new ones are kept."""

    @abstractmethod
    def recall(self, key: Hashable) -> np.ndarray | None:
        """Return the probabilities of a row, float32, or ``None`` if it is not known."""

    @abstractmethod
    def keep(self, keys: Sequence[Hashable], probabilities: np.ndarray) -> None:
        """Keep computed rows.

        Args:
            keys: What the model read.
            probabilities: float32, shape ``(keys, classes)``.
        """


class Victim(ABC):
    """Base class of victims: removes duplicate rows, remembers answers, counts computed rows.

    A victim represents one model with fixed weights. Create a new one when the weights change,
    because answers are remembered: the latest ones, up to 64 MiB by text and 64 MiB by key, which
    is some 300,000 texts of any length. One that was forgotten is computed, and counted, again.

    Args:
        exact: Victim that decides verdicts, if this one only approximates it.
    """

    def __init__(self, *, exact: Victim | None = None) -> None:
        self.classes: int | None = None
        self.batch_size: int | None = None
        """Maximum number of rows per call of :meth:`compute`; ``None``: any number."""
        self.store: RowStore | None = None
        """Asked for rows before they are computed; those that it has are not counted."""
        self._exact = exact
        # Apart, because a text may be the key of another text.
        self._by_key: BoundedMemory[Hashable, bytes] = BoundedMemory(size_of)
        self._by_text: BoundedMemory[Hashable, bytes] = BoundedMemory(size_of)
        self._computed = 0

    @property
    def exact(self) -> Victim:
        """The victim that decides verdicts: this one, unless it approximates another."""
        return self if self._exact is None else self._exact

    @property
    def forward_rows(self) -> int:
        """Rows computed so far, including those of :attr:`exact`; duplicates count once."""
        return self._computed + (self._exact.forward_rows if self._exact else 0)

    @abstractmethod
    def keys(self, texts: Sequence[Text]) -> Sequence[Hashable]:
        """Return what the model reads of each text; texts with equal keys share one row."""

    @abstractmethod
    def compute(self, keys: Sequence[Any]) -> np.ndarray:
        """Compute the probabilities of distinct rows.

        Returns:
            float32, shape ``(rows, classes)``; NaN where the model returned NaN.
        """

    def require_distinct(self, texts: Sequence[Text]) -> None:  # noqa: B027, a hook
        """Check, before anything is computed, that texts can be told apart.

        Raises:
            DataError: Almost all texts become the same input.
        """

    def visible(self, attacked: AttackedInput, words: Words) -> range:
        """Return the indices of the words of the attacked side that truncation leaves."""
        return range(len(words))

    def gradients(
        self, texts: Sequence[Text], labels: Sequence[int], side: int
    ) -> list[TokenGradients]:
        """Compute the gradients of the cross-entropy loss at the token embeddings.

        Args:
            texts: Inputs of the model.
            labels: Class of each input in the loss.
            side: Attacked text of a pair, 0 or 1.

        Raises:
            EvaluationError: The victim is a black box.
        """
        raise EvaluationError(
            "This attack needs the victim's gradients, but a function returns only its outputs. "
            "Pass the model itself and its tokenizer, or choose a black-box attack."
        )

    def answers(self, keys: Sequence[Hashable]) -> np.ndarray:
        """Return probabilities by key, float32, shape ``(keys, classes)``."""
        memory = self._by_key
        memory.make_room()
        short = [digest(key) for key in keys]
        new = {s: key for s, key in zip(short, keys, strict=True) if s not in memory.entries}
        if new and self.store is not None:
            stored = [(s, self.store.recall(key)) for s, key in new.items()]
            memory.add((s, row.tobytes()) for s, row in stored if row is not None)
            new = {s: key for s, key in new.items() if s not in memory.entries}
        unknown = iter(new.items())
        while batch := dict(itertools.islice(unknown, self.batch_size)):
            rows = list(batch.values())
            computed = self.compute(rows)
            self.check(computed, len(rows))
            self._computed += len(rows)
            if self.store is not None:
                self.store.keep(rows, computed)
            memory.add(zip(batch, _packed(computed), strict=True))
        return self._unpacked([memory.entries[s] for s in short])

    def probabilities(self, texts: Sequence[Text]) -> np.ndarray:
        """Return probabilities by text, float32, shape ``(texts, classes)``."""
        memory = self._by_text
        memory.make_room()
        short = [digest(text) for text in texts]
        new = {s: text for s, text in zip(short, texts, strict=True) if s not in memory.entries}
        if new:
            # Remembering by text saves tokenizing it again.
            found = self.answers(self.keys(list(new.values())))
            memory.add(zip(new, _packed(found), strict=True))
        return self._unpacked([memory.entries[s] for s in short])

    def _unpacked(self, rows: Sequence[bytes]) -> np.ndarray:
        joined = np.frombuffer(bytearray().join(rows), dtype=np.float32)
        return joined.reshape(len(rows), self.classes or 0)

    def expect(self, classes: int) -> None:
        """Set the number of classes of the data set.

        Raises:
            EvaluationError: The victim has another number of classes.
        """
        if self.classes is not None and self.classes != classes:
            raise _wrong_classes(self.classes, classes)
        self.classes = classes
        if self.exact is not self:
            self.exact.expect(classes)

    def check(self, probabilities: np.ndarray, rows: int) -> None:
        """Check the shape of computed probabilities.

        Raises:
            EvaluationError: The shape is not ``(rows, classes)``.
        """
        if probabilities.ndim != 2 or len(probabilities) != rows:
            raise EvaluationError(
                f"The victim was given {rows} texts and returned shape {probabilities.shape}. "
                f"Expected one row per text and one column per class: ({rows}, classes)."
            )
        classes = probabilities.shape[1]
        if classes < 2:
            raise EvaluationError(
                "The victim returns one number per text. Expected one column per class, at least "
                "two; for a binary classifier return the probabilities of both classes."
            )
        if self.classes is not None and classes != self.classes:
            raise _wrong_classes(classes, self.classes)
        self.classes = classes


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities, computed in float32 by PyTorch, as TextAttack does.

    Attacks break ties between scores, so the rounding must be the same.
    """
    return torch.softmax(torch.from_numpy(logits), dim=1).numpy()


def _packed(rows: np.ndarray) -> list[bytes]:
    return [row.tobytes() for row in np.asarray(rows, dtype=np.float32)]


def _wrong_classes(victim: int, data: int) -> EvaluationError:
    return EvaluationError(
        f"The victim has {victim} classes, but the data set has {data}. Attack a model trained "
        f"for these labels; if the data set lacks some of its classes, name them all with "
        f"TextDataset(..., classes=[...])."
    )
