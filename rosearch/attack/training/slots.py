"""Where replaced words are in rows of tokens, also of texts that truncation cuts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rosearch.attack.text import AttackedInput
from rosearch.attack.training.row_edits import RowEdit, TextEdit, row_edits
from rosearch.attack.victim.tokenization import IncrementalTokenizer, common_ends
from rosearch.data import Text
from rosearch.tokens import TokenizedText, Truncation, WordChoices

_Ids = tuple[int, ...]
_Slot = tuple[int, int, list[_Ids]]
"""First token of a slot, the token after its last, and what may stand there."""


@dataclass(frozen=True)
class ReadText:
    """A text and the part of it that truncation leaves."""

    whole: AttackedInput
    row: TokenizedText
    visible: range
    """The words that are read, wholly or in part."""

    excerpt: AttackedInput
    """The text as far as it is read, and some words beside it."""

    start: int
    """Where the excerpt begins in the attacked side, in characters."""

    def edits(self, found: Sequence[Sequence[str]]) -> list[list[TextEdit]]:
        """Return replacements of each visible word as edits of the excerpt."""
        spans = self.whole.words.spans[self.visible.start : self.visible.stop]
        return [
            [TextEdit(start - self.start, end - self.start, options)]
            for (start, end), options in zip(spans, found, strict=True)
        ]


@dataclass(frozen=True)
class RowSlots:
    """The slots of one text; see :class:`~rosearch.tokens.WordChoices`."""

    slots: Sequence[_Slot]
    place: int
    """The token of the row before which the hidden ones belong."""

    hidden: _Ids
    """Tokens that truncation hides, those next to the place."""


class RowTokenizer:
    """Finds the tokens that replacements of words change in truncated rows.

    Args:
        tokenizer: Any Hugging Face tokenizer.
        max_length: Maximum tokens of a row.
    """

    def __init__(self, tokenizer: Any, *, max_length: int) -> None:
        self._cut = IncrementalTokenizer(tokenizer, max_length=max_length)
        self._whole = IncrementalTokenizer(tokenizer, truncates=False)
        self._special = frozenset(tokenizer.all_special_ids)
        self.cuts_left: bool = tokenizer.truncation_side == "left"
        """Whether texts are cut on the left."""

    def read(self, inputs: Sequence[AttackedInput]) -> list[ReadText]:
        """Return the texts with what truncation leaves of them."""
        rows = self._cut.encode([one.text for one in inputs])
        return [self._read(one, row) for one, row in zip(inputs, rows, strict=True)]

    def _read(self, one: AttackedInput, row: TokenizedText) -> ReadText:
        words = one.words
        if len(row.ids) < self._cut.max_length:
            return ReadText(one, row, range(len(words)), AttackedInput(one.text, one.side), 0)
        visible = self._cut.visible_words(one, words)
        # As many words again come into view if all replacements are shorter.
        first = max(0, visible.start - len(visible))
        last = min(len(words), visible.stop + len(visible))
        spans, text = words.spans, words.text
        start = spans[first][0] if 0 < first < len(words) else 0
        end = spans[last - 1][1] if 0 < last < len(words) else len(text)
        excerpt = AttackedInput(self._visible_other(one), one.side).whole(text[start:end])
        return ReadText(one, row, visible, AttackedInput(excerpt, one.side), start)

    def slots(
        self, texts: Sequence[ReadText], found: Sequence[Sequence[Sequence[str]]]
    ) -> list[RowSlots]:
        """Return the tokens that change with each visible word.

        Args:
            texts: The texts.
            found: For each text, for each visible word, what may stand in its place.
        """
        inputs = [text.excerpt for text in texts]
        wholes = self._whole.encode([one.text for one in inputs])
        edits = [text.edits(options) for text, options in zip(texts, found, strict=True)]
        changes = row_edits(self._whole, inputs, wholes, edits)
        return [
            self._slots(text.row.ids, whole.ids, edits)
            for text, whole, edits in zip(texts, wholes, changes, strict=True)
        ]

    def _slots(self, row: _Ids, whole: _Ids, edits: Sequence[Sequence[RowEdit]]) -> RowSlots:
        start, end = self._hidden(row, whole)
        if row != whole[:start] + whole[end:]:
            # The other text of a pair, cut within a word, has other tokens by itself.
            return RowSlots([], start, ())
        slots = []
        for first, last, options in _changes(whole, edits):
            if last <= start:
                slots.append((first, last, options))
            elif first >= end:
                slots.append((first - end + start, last - end + start, options))
            elif first < start or last > end:  # cut within the word
                slots.append(self._clipped(whole, (first, last, options), start, end))
        slots = [(a, b, [row[a:b], *_others(options, row[a:b])]) for a, b, options in slots]
        slots = [slot for slot in slots if slot[0] < slot[1] and len(slot[2]) > 1]
        return RowSlots(slots, start, whole[start:end])

    def _visible_other(self, one: AttackedInput) -> Text:
        """Return the text, of a pair the other text as far as it is read."""
        if isinstance(one.text, str):
            return one.text
        other = one.text[1 - one.side]
        start, end = self._cut.visible_span(one.text, 1 - one.side) or (0, len(other))
        return AttackedInput(one.text, 1 - one.side).whole(other[start:end])

    def _hidden(self, row: _Ids, whole: _Ids) -> tuple[int, int]:
        """Return where the tokens that truncation hides start and end in the whole row."""
        if row == whole:
            ids = row if self.cuts_left else row[::-1]
            special = next((k for k, token in enumerate(ids) if token not in self._special), 0)
            place = special if self.cuts_left else len(row) - special
            return place, place
        if self.cuts_left:
            after, before = common_ends(row[::-1], whole[::-1])
        else:
            before, after = common_ends(row, whole)
        return before, len(whole) - after

    def _clipped(self, whole: _Ids, slot: _Slot, start: int, end: int) -> _Slot:
        """Return the visible part of a slot."""
        first, last, options = slot
        if self.cuts_left:
            size = last - end
            return start, start + size, [(whole[start:first] + ids)[-size:] for ids in options]
        size = start - first
        return first, start, [(ids + whole[last:end])[:size] for ids in options]


def _changes(row: _Ids, edits: Sequence[Sequence[RowEdit]]) -> list[_Slot]:
    """Return the tokens that change with each word, and what may stand there instead."""
    spans: list[tuple[int, int, list[RowEdit]]] = []
    for of_word in edits:
        changed = [edit.changing(row) for edit in of_word]
        if not any(edit.options for edit in changed):
            continue
        bounds = [edit.bounds(row) for edit in changed]
        start, end = min(a for a, _ in bounds), max(b for _, b in bounds)
        while spans and start < spans[-1][1]:
            # Words that share tokens share a slot, in which one of them is replaced.
            first, last, others = spans.pop()
            start, end, changed = min(start, first), max(end, last), others + changed
        if start < end:
            spans.append((start, end, changed))
    return [
        (start, end, [ids for edit in changed for ids in edit.between(row, start, end)])
        for start, end, changed in spans
    ]


def _others(options: Iterable[_Ids], own: _Ids) -> list[_Ids]:
    return [ids for ids in dict.fromkeys(options) if ids and ids != own]


def flattened(texts: Sequence[RowSlots], *, cuts_left: bool) -> WordChoices:
    """Return the slots of all texts in flat arrays."""
    slots = [slot for text in texts for slot in text.slots]
    options = [ids for _, _, ids_of_slot in slots for ids in ids_of_slot]
    return WordChoices(
        first_slots=_starts(len(text.slots) for text in texts),
        starts=np.array([start for start, _, _ in slots], dtype=np.int64),
        ends=np.array([end for _, end, _ in slots], dtype=np.int64),
        first_choices=_starts(len(ids_of_slot) for _, _, ids_of_slot in slots),
        first_ids=_starts(map(len, options)),
        ids=_joined(options),
        truncation=Truncation(
            places=np.array([text.place for text in texts], dtype=np.int64),
            first_hidden=_starts(len(text.hidden) for text in texts),
            hidden=_joined([text.hidden for text in texts]),
            left=cuts_left,
        ),
    )


def _joined(parts: Iterable[_Ids]) -> np.ndarray:
    return np.array([token for ids in parts for token in ids], dtype=np.int32)


def _starts(counts: Iterable[int]) -> np.ndarray:
    return np.cumsum([0, *counts], dtype=np.int64)
