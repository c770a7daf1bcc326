"""What victims read of the parts of a text, and how that makes their answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import torch

from rosearch.attack.certificates.text_parts import TextPart
from rosearch.attack.text import AttackedInput
from rosearch.attack.victim.function import FunctionVictim
from rosearch.attack.victim.model import ModelVictim
from rosearch.encode import Encoding
from rosearch.tokens import TokenizedText

_ROWS = 512


class SummedScores:
    """Logits that are sums of token scores, and something bounded.

    Args:
        scores: The token scores, as of :class:`rosearch.operators.TokenScores`.
        bound: How far the rest of the model moves the difference of two logits.
        reader: What the model reads.
        parts: The parts of the text.
    """

    def __init__(
        self, scores: Any, bound: float, reader: _ModelReader, parts: Sequence[TextPart]
    ) -> None:
        self.bound = bound
        self._forms: list[list[Any]] = [[*part.unchanged, *part.changed] for part in parts]
        self._unchanged = [len(part.unchanged) for part in parts]
        self._cues = dict(scores.cues or ())
        if not all(map(self._keeps_cues, self._forms)):
            raise CuesChangeError
        base = [forms[0] for forms in self._forms]
        rows = [reader.row(base)]
        rows += [
            reader.row([*base[:k], form, *base[k + 1 :]])
            for k, forms in enumerate(self._forms)
            for form in forms
        ]
        total, *each = _token_scores(scores, rows)
        remaining, start = iter(each), reader.first_place()
        self.sums: list[dict[Any, np.ndarray]] = []
        """For each part the sum of the scores of each of its forms, ``(classes,)``."""
        for forms in self._forms:
            spans = [(form, slice(start, start + len(form))) for form in forms]
            self.sums.append({form: next(remaining)[span].sum(axis=0) for form, span in spans})
            start += len(forms[0])
        bias = scores.bias.detach().double().cpu().numpy()
        known = [sums[form] for sums, form in zip(self.sums, base, strict=True)]
        self.rest: np.ndarray = bias + total.sum(axis=0) - sum(known, np.zeros_like(bias))
        """What no attack changes, ``(classes,)``."""

    def _keeps_cues(self, forms: Sequence[Sequence[int]]) -> bool:
        """Whether all forms of a part have the same cues, so that no scope changes."""
        return len({tuple(self._cues[t] for t in form if t in self._cues) for form in forms}) < 2

    def worst(self, label: int, most: int) -> float:
        """Return the smallest margin of the label in the sums, with at most ``most`` changes."""
        margin = self.rest[label] - self.rest
        losses = []
        for forms, own, sums in zip(self._forms, self._unchanged, self.sums, strict=True):
            margins = np.array([sums[form][label] - sums[form] for form in forms])
            lowest = margins[:own].min(axis=0)
            margin = margin + lowest
            losses.append(np.minimum(margins.min(axis=0) - lowest, 0))
        if losses and most:
            # For each class the words that cost most of the margin against it.
            margin = margin + np.sort(np.array(losses), axis=0)[:most].sum(axis=0)
        return float(np.delete(margin, label).min())


class CuesChangeError(Exception):
    """What an attack may put into a text changes the scopes of other words."""


@torch.no_grad()
def _token_scores(scores: Any, rows: Sequence[TokenizedText]) -> list[np.ndarray]:
    """The scores of the tokens of each row, float64 ``(tokens, classes)``."""
    device = scores.bias.device
    longest = max(len(row.ids) for row in rows)
    found: list[np.ndarray] = []
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        ids = torch.zeros(len(part), longest, dtype=torch.long)
        mask = torch.zeros_like(ids, dtype=torch.bool)
        for k, row in enumerate(part):
            ids[k, : len(row.ids)] = torch.tensor(row.ids)
            mask[k, : len(row.ids)] = True
        each = scores.each(ids.to(device), mask.to(device)).double().cpu().numpy()
        found += [each[k, : len(row.ids)] for k, row in enumerate(part)]
    return found


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

    def summed_scores(self, parts: Sequence[TextPart]) -> SummedScores | None:
        """Return how the victim's logits are sums; ``None`` if they are not known to be.

        Raises:
            CuesChangeError: What may stand in a part changes the scores of other parts.
        """
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

    def row(self, forms: Sequence[Any]) -> TokenizedText:
        """Return the row of a text that is not truncated."""
        row = self._row(forms)
        if row is None:
            raise ValueError("The text is truncated; fits() says so.")
        return row

    def first_place(self) -> int:
        """Return the place of the first token of the attacked side in a row."""
        mark = -1  # no token has that id
        return self.row([(mark,)]).ids.index(mark)

    def summed_scores(self, parts: Sequence[TextPart]) -> SummedScores | None:
        find = getattr(self._victim.model, "summed_scores", None)
        found = None if find is None else find()
        if found is None:
            return None
        scores, bound = found
        if scores.bias.dtype not in (torch.float32, torch.float64):
            return None  # sums are rounded by more than a margin may be
        return SummedScores(scores, bound, self, parts)

    def _row(self, forms: Sequence[Sequence[int]]) -> TokenizedText | None:
        own = [token for form in forms for token in form]
        sides: list[Sequence[int]] = [own]
        if self._other:
            sides = [own, *self._other] if self._side == 0 else [*self._other, own]
        return self._tokens.row_of(sides)
