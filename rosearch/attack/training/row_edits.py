"""What a changed text changes in its row of tokens, without tokenizing the whole text again."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, islice
from typing import NamedTuple

from rosearch.attack.text import AttackedInput
from rosearch.attack.victim.tokenization import CHUNK_START, IncrementalTokenizer, common_ends
from rosearch.encode import Encoding
from rosearch.encode.changes import canonical_edits
from rosearch.tokens import TokenizedText

_Ids = tuple[int, ...]


class TextEdit(NamedTuple):
    """A part of the attacked text, in characters, and what may stand there instead."""

    start: int
    end: int
    options: Sequence[str]

    def applied(self, text: str) -> list[str]:
        """Return the texts with this part replaced."""
        before, after = text[: self.start], text[self.end :]
        return [before + new + after for new in self.options]


class RowEdit(NamedTuple):
    """Some tokens of a row, and what may stand there instead."""

    start: int
    end: int
    options: Sequence[_Ids]

    def changing(self, row: _Ids) -> RowEdit:
        """Return this edit without options that change nothing."""
        old = row[self.start : self.end]
        return self._replace(options=[ids for ids in self.options if ids != old])

    def bounds(self, row: _Ids) -> tuple[int, int]:
        """Return the first token that an option changes, and the token after the last."""
        old = row[self.start : self.end]
        size = len(old)
        first, last = len(row), 0
        for ids in self.options:
            before, after = _common_ends(old, ids)
            end = self.end
            if before == min(size, len(ids)):
                # The tokens after it may be equal too.
                before, after = common_ends(row[self.start :], ids + row[self.end :])
                end = len(row)
            first, last = min(first, self.start + before), max(last, end - after)
        return first, last

    def between(self, row: _Ids, start: int, end: int) -> list[_Ids]:
        """Return what may stand in place of the tokens from ``start`` to ``end`` of the row."""
        first, last = min(self.start, start), max(self.end, end)
        before, after = row[first : self.start], row[self.end : last]
        left, right = start - first, last - end
        if not (before or after or left or right):
            return list(self.options)
        found = [before + ids + after for ids in self.options]
        return [ids[left : len(ids) - right] for ids in found]


_common_ends = lru_cache(maxsize=1 << 16)(common_ends)


def row_edits(
    tokens: IncrementalTokenizer,
    inputs: Sequence[AttackedInput],
    rows: Sequence[TokenizedText],
    edits: Sequence[Sequence[Sequence[TextEdit]]],
) -> list[list[list[RowEdit]]]:
    """Return what each edit of a text changes in its row.

    Where a tokenizer reads chunk by chunk, each distinct chunk is tokenized once; otherwise whole
    texts are.

    Args:
        tokens: The tokenizer, which does not truncate.
        inputs: The texts, all single or all pairs.
        rows: Their rows.
        edits: Edits of the attacked side of each text, in groups.
    """
    if not inputs:
        return []
    plain = [one.words.text for one in inputs]
    if (encoding := tokens.encoding) is not None:
        edits = [_encoded(encoding, *one) for one in zip(plain, edits, strict=True)]
        plain = encoding(plain)
    places = _places(tokens, inputs)
    if places is None:
        changed = (
            one.whole(other)
            for one, text, groups in zip(inputs, plain, edits, strict=True)
            for group in groups
            for edit in group
            for other in edit.applied(text)
        )
        found = (row.ids for row in tokens.encode(list(changed)))
        return [
            [
                [RowEdit(0, len(row.ids), list(islice(found, len(e.options)))) for e in group]
                for group in groups
            ]
            for row, groups in zip(rows, edits, strict=True)
        ]
    split = list(map(_Chunks.of, plain))
    ids = _tokens_of(tokens, (chunk for text in split for chunk in text.chunks))
    for text, first in zip(split, places, strict=True):
        text.place(first, ids)
    regions = [
        [[text.region(edit) for edit in group] for group in groups]
        for text, groups in zip(split, edits, strict=True)
    ]
    parts = (
        part for text in regions for group in text for region in group for part in region.options
    )
    ids = _tokens_of(tokens, parts)
    return [
        [[RowEdit(a, b, [ids[part] for part in parts]) for a, b, parts in group] for group in text]
        for text in regions
    ]


def _encoded(
    encoding: Encoding, text: str, groups: Sequence[Sequence[TextEdit]]
) -> list[list[TextEdit]]:
    """Return the edits of a text as edits of its canonical text, one for each option.

    Options that leave the canonical text as it is are left out.
    """
    canonical = encoding(text)
    single = [(e.start, e.end, new) for group in groups for e in group for new in e.options]
    changed = iter(canonical_edits(encoding, text, single))
    return [
        [
            _shortened(canonical, start, end, new)
            for start, end, new in islice(changed, sum(len(e.options) for e in group))
            if canonical[start:end] != new
        ]
        for group in groups
    ]


def _shortened(text: str, start: int, end: int, new: str) -> TextEdit:
    before, after = _common_ends(text[start:end], new)
    return TextEdit(start + before, end - after, [new[before : len(new) - after]])


def _places(tokens: IncrementalTokenizer, inputs: Sequence[AttackedInput]) -> list[int] | None:
    """Return where the tokens of the attacked sides begin; ``None``: not in any fixed place."""
    sides = [(one.text,) if isinstance(one.text, str) else one.text for one in inputs]
    flat = [side for text in sides for side in text]
    if tokens.encoding is not None:
        flat = tokens.encoding(flat)
    ids = tokens.parts_of(flat)
    if ids is None:
        return None
    remaining = iter(ids)
    found = []
    for one, text in zip(inputs, sides, strict=True):
        place = tokens.place_of(one.side if len(text) > 1 else 0, [next(remaining) for _ in text])
        if place is None:
            return None
        found.append(place)
    return found


def _tokens_of(tokens: IncrementalTokenizer, parts: Iterable[str]) -> dict[str, _Ids]:
    distinct = list(dict.fromkeys(parts))
    return dict(zip(distinct, tokens.parts_of(distinct) or (), strict=True))


@dataclass
class _Chunks:
    """A canonical text in the chunks that are tokenized one by one."""

    text: str
    chunks: Sequence[str]
    borders: Sequence[int]
    """Where chunks begin, and the text's end, in characters."""
    tokens: Sequence[int] = ()
    """The same in tokens of the row."""

    @classmethod
    def of(cls, text: str) -> _Chunks:
        chunks = CHUNK_START.split(text)
        return cls(text, chunks, [0, *accumulate(map(len, chunks))])

    def place(self, first: int, ids: dict[str, _Ids]) -> None:
        counts = (len(ids[chunk]) for chunk in self.chunks)
        self.tokens = list(accumulate(counts, initial=first))

    def region(self, edit: TextEdit) -> TextEdit:
        """Return the tokens of the chunks that change, and what these chunks become together."""
        first = max(0, bisect_left(self.borders, edit.start) - 1)
        last = bisect_left(self.borders, edit.end, lo=first + 1)
        before = self.text[self.borders[first] : edit.start]
        after = self.text[edit.end : self.borders[last]]
        if after[-1:].isspace() or not (after or all(map(_ends_a_chunk, edit.options))):
            # The next chunk no longer begins after another character than white space.
            last = min(last + 1, len(self.chunks))
            after = self.text[edit.end : self.borders[last]]
        options = [before + new + after for new in edit.options]
        return TextEdit(self.tokens[first], self.tokens[last], options)


def _ends_a_chunk(new: str) -> bool:
    return bool(new) and not new[-1].isspace()
