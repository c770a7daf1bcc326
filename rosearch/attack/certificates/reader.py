"""What victims read of the parts of a text, and how that makes their answers."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import torch

from rosearch.attack.certificates.text_parts import TextPart
from rosearch.attack.certificates.word_options import UndecidedError
from rosearch.attack.text import AttackedInput
from rosearch.attack.victim.function import FunctionVictim
from rosearch.attack.victim.model import ModelVictim
from rosearch.encode import Encoding
from rosearch.tokens import TokenizedText, collate, token_batches

_MOST_READINGS = 1 << 12
_TOKENS = 8192
"""Tokens in a batch; scopes hold a few bytes for each pair of tokens of a text."""


class SummedScores:
    """Logits that are sums of token scores, and something bounded.

    Args:
        scores: The token scores, as of :class:`rosearch.operators.TokenScores`.
        bound: How far the rest of the model moves the difference of two logits.
        reader: What the model reads.
        parts: The parts of the text.
    """

    def __init__(
        self, scores: Any, bound: float, reader: ModelReader, parts: Sequence[TextPart]
    ) -> None:
        self.bound = bound
        self._forms: list[list[Any]] = [[*part.unchanged, *part.changed] for part in parts]
        self._unchanged = [len(part.unchanged) for part in parts]
        cues = dict(scores.cues or ())
        self.is_exact = all(
            len({tuple(cues[token] for token in form if token in cues) for form in forms}) < 2
            for forms in self._forms
        )
        """Whether all forms of each part have the same cues, so that no scope changes."""
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
        self._bias = bias
        table = scores.tokens.weight.detach().double().cpu().numpy()
        self._table = table.reshape(len(table), -1, len(bias))
        self._rest_ids = reader.row([]).ids
        longest = [max(forms, key=len) for forms in self._forms]
        tokens = len(reader.row(longest).ids) + 1
        sizes = np.abs(self._table).max(axis=(1, 2))
        largest = [max(sizes[list(form)].sum() for form in forms) for forms in self._forms]
        magnitude = sizes[list(self._rest_ids)].sum() + np.abs(bias).max() + sum(largest)
        self.rounding = 1e-5 + 2 * tokens * float(np.finfo(np.float32).eps * magnitude)
        """Difference of two logits, summed in float32, that may be rounding."""

    def worst(self, label: int, most: int | None) -> np.ndarray:
        """Return the smallest margins of the label in the sums, with at most ``most`` changes.

        Where scopes may change, each token has its worst.

        Returns:
            ``(classes - 1,)``, against each of the other classes.
        """
        margin = self._rest_margin(label)
        losses = []
        for k, forms in enumerate(self._forms):
            margins = np.array([self._margin(k, form, label) for form in forms])
            lowest = margins[: self._unchanged[k]].min(axis=0)
            margin = margin + lowest
            losses.append(np.minimum(margins.min(axis=0) - lowest, 0))
        if losses:
            # For each class the words that cost most of the margin against it.
            margin = margin + np.sort(np.array(losses), axis=0)[:most].sum(axis=0)
        found: np.ndarray = np.delete(margin, label)
        return found

    def _margin(self, k: int, form: Any, label: int) -> np.ndarray:
        if not self.is_exact:
            return self._in_any_scope(form, label)
        sums = self.sums[k][form]
        margins: np.ndarray = sums[label] - sums
        return margins

    def _rest_margin(self, label: int) -> np.ndarray:
        if self.is_exact:
            margins: np.ndarray = self.rest[label] - self.rest
            return margins
        rest = self._in_any_scope(self._rest_ids, label)
        lowest: np.ndarray = self._bias[label] - self._bias + rest
        return lowest

    def _in_any_scope(self, tokens: Sequence[int], label: int) -> np.ndarray:
        scores = self._table[list(tokens)]  # (tokens, scopes, classes)
        margins: np.ndarray = (scores[..., label, None] - scores).min(axis=1).sum(axis=0)
        return margins


@torch.no_grad()
def _token_scores(scores: Any, rows: Sequence[TokenizedText]) -> list[np.ndarray]:
    """The scores of the tokens of each row, float64 ``(tokens, classes)``."""
    device = scores.bias.device
    found: dict[int, np.ndarray] = {}
    for batch in token_batches([len(row.ids) for row in rows], token_budget=_TOKENS):
        part = [rows[k] for k in batch]
        inputs = collate(part, pad_id=0, device=device)
        each = scores.each(inputs["input_ids"], inputs["attention_mask"].bool())
        for k, row, own in zip(batch, part, each.double().cpu().numpy(), strict=True):
            found[k] = own[: len(row.ids)]
    return [found[k] for k in range(len(rows))]


class Reader(ABC):
    """What a victim reads of one text or pair."""

    encoding: Encoding | None
    """What is applied to every text first."""

    @staticmethod
    def of(victim: ModelVictim | FunctionVictim, attacked: AttackedInput) -> Reader:
        """Return the reader of a victim."""
        if isinstance(victim, ModelVictim):
            return ModelReader(victim, attacked)
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


class ModelReader(Reader):
    """A model reads tokens."""

    def __init__(self, victim: ModelVictim, attacked: AttackedInput) -> None:
        self.model, self._tokens, self._side = victim.model, victim.tokens, attacked.side
        self.encoding = victim.tokens.encoding
        self.own_row = self._tokens.encode([attacked.text])[0]
        """The row of the text as it is."""
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

    def own_forms(self, parts: Sequence[TextPart]) -> list[Any]:
        """Return which of its unchanged readings each part of the text has."""
        for forms in itertools.islice(
            itertools.product(*[part.unchanged for part in parts]), _MOST_READINGS
        ):
            if self.key(forms) == self.own_row:
                return list(forms)
        raise UndecidedError("what is read of a word depends on the words beside it")

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
        find = getattr(self.model, "summed_scores", None)
        found = None if find is None else find()
        if found is None:
            return None
        scores, bound = found
        if {scores.bias.dtype, scores.tokens.weight.dtype} - {torch.float32, torch.float64}:
            return None  # sums are rounded by more than a margin may be
        return SummedScores(scores, bound, self, parts)

    def _row(self, forms: Sequence[Sequence[int]]) -> TokenizedText | None:
        own = [token for form in forms for token in form]
        sides: list[Sequence[int]] = [own]
        if self._other:
            sides = [own, *self._other] if self._side == 0 else [*self._other, own]
        return self._tokens.row_of(sides)
