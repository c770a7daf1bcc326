"""What victims read of the parts of a text, and how that makes their answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rosearch.attack.certificates.text_parts import TextPart
from rosearch.attack.text import AttackedInput
from rosearch.attack.victim.function import FunctionVictim
from rosearch.attack.victim.model import ModelVictim
from rosearch.encode import Encoding
from rosearch.tokens import TokenizedText


@dataclass(frozen=True)
class SummedScores:
    """Logits that are sums of token scores, and something bounded."""

    table: np.ndarray
    """float64 ``(tokens, classes)``."""

    rest: np.ndarray
    """float64 ``(classes,)``: the sum over everything that no attack changes."""

    bound: float
    """How far the rest of the model moves the difference of two logits."""

    def worst(self, parts: Sequence[TextPart], label: int, most: int) -> float:
        """Return the smallest margin of the label in the sums, with at most ``most`` changes."""
        margin = self.rest[label] - self.rest
        losses = []
        for part in parts:
            lowest = self._margins(part.unchanged, label).min(axis=0)
            margin = margin + lowest
            if part.changed:
                losses.append(
                    np.minimum(self._margins(list(part.changed), label).min(axis=0) - lowest, 0)
                )
        if losses and most:
            # For each class the words that cost most of the margin against it.
            margin = margin + np.sort(np.array(losses), axis=0)[:most].sum(axis=0)
        return float(np.delete(margin, label).min())

    def of(self, form: Any) -> np.ndarray:
        """Return the sum of the scores of a part's tokens, ``(classes,)``."""
        scores: np.ndarray = self.table[list(form)].sum(axis=0)
        return scores

    def _margins(self, forms: Sequence[Any], label: int) -> np.ndarray:
        sums = np.array(list(map(self.of, forms)))
        margins: np.ndarray = sums[:, label, None] - sums
        return margins


class Reader(ABC):
    """What a victim reads of one text or pair."""

    encoding: Encoding | None
    """What is applied to every text first."""

    @staticmethod
    def of(victim: ModelVictim | FunctionVictim, attacked: AttackedInput) -> Reader:
        """Return the reader of a victim."""
        if isinstance(victim, ModelVictim):
            return _ModelReader(victim, attacked)
        return _FunctionReader(victim, attacked)

    @abstractmethod
    def read(self, canonical: Sequence[str]) -> Sequence[Hashable] | None:
        """Return what is read of canonical parts; ``None`` if that depends on other parts."""

    @abstractmethod
    def key(self, forms: Sequence[Any]) -> Hashable:
        """Return the victim's key of a text, given what is read of each part."""

    def fits(self, parts: Sequence[TextPart]) -> bool:
        """Return whether no form of the text is truncated."""
        return True

    def summed_scores(self) -> SummedScores | None:
        """Return how the victim's logits are sums; ``None`` if they are not known to be."""
        return None


class _FunctionReader(Reader):
    """A function reads canonical texts."""

    def __init__(self, victim: FunctionVictim, attacked: AttackedInput) -> None:
        self.encoding = victim.encoding
        (canonical,) = victim.keys([attacked.text])
        self._canonical = AttackedInput(canonical, attacked.side)  # type: ignore[arg-type]

    def read(self, canonical: Sequence[str]) -> Sequence[Hashable]:
        return canonical

    def key(self, forms: Sequence[Any]) -> Hashable:
        return self._canonical.whole("".join(forms))


class _ModelReader(Reader):
    """A model reads tokens."""

    def __init__(self, victim: ModelVictim, attacked: AttackedInput) -> None:
        self._victim, self._tokens, self._side = victim, victim.tokens, attacked.side
        self.encoding = victim.tokens.encoding
        self._other: list[Sequence[int]] = []
        if not isinstance(attacked.text, str):
            other = attacked.text[1 - attacked.side]
            self._other = list(
                self._tokens.parts_of([other if self.encoding is None else self.encoding(other)])
                or [()]
            )

    def read(self, canonical: Sequence[str]) -> Sequence[Hashable] | None:
        return self._tokens.parts_of(canonical)

    def fits(self, parts: Sequence[TextPart]) -> bool:
        forms: list[list[Any]] = [[*part.unchanged, *part.changed] for part in parts]
        return self._row([max(found, key=len) for found in forms]) is not None

    def key(self, forms: Sequence[Any]) -> Hashable:
        return self._row(forms)

    def summed_scores(self) -> SummedScores | None:
        find = getattr(self._victim.model, "summed_scores", None)
        found = None if find is None else find()
        if found is None:
            return None
        table, bias, bound = found
        if table.dtype not in (torch.float32, torch.float64):
            return None  # sums are rounded by more than a margin may be
        scores = table.detach().double().cpu().numpy()
        row = self._row([])
        rest = bias.detach().double().cpu().numpy()
        if row is not None:
            rest = rest + scores[list(row.ids)].sum(axis=0)
        return SummedScores(scores, rest, bound)

    def _row(self, forms: Sequence[Sequence[int]]) -> TokenizedText | None:
        own = [token for form in forms for token in form]
        sides: list[Sequence[int]] = [own]
        if self._other:
            sides = [own, *self._other] if self._side == 0 else [*self._other, own]
        return self._tokens.row_of(sides)
