"""Texts as sequences of words that an attack replaces; see :mod:`rosearch.words`."""

from __future__ import annotations

from dataclasses import dataclass

from rosearch.data import Text
from rosearch.words import word_spans


@dataclass(frozen=True, slots=True, repr=False)
class Words:
    """A segmented text that records which of its words were replaced.

    Create it with :meth:`of`. A replacement keeps its index: whatever replaces word 3 is word 3
    from then on, so indices keep their meaning throughout an attack.
    """

    pieces: tuple[str, ...]
    """Separators and words in turn; the words are at odd positions."""
    changed: frozenset[int] = frozenset()
    """Indices of the replaced words."""

    @classmethod
    def of(cls, text: str) -> Words:
        """Segment ``text``."""
        pieces = []
        end = 0
        for start, stop in word_spans(text):
            pieces += [text[end:start], text[start:stop]]
            end = stop
        return cls((*pieces, text[end:]))

    @property
    def text(self) -> str:
        """The whole text, with its punctuation and spacing."""
        return "".join(self.pieces)

    @property
    def words(self) -> tuple[str, ...]:
        """The words, without separators."""
        return self.pieces[1::2]

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Start and end of each word in :attr:`text`, in characters."""
        spans = []
        position = 0
        for index, piece in enumerate(self.pieces):
            if index % 2:
                spans.append((position, position + len(piece)))
            position += len(piece)
        return tuple(spans)

    def replace(self, index: int, word: str) -> Words:
        """Return a copy with the word at ``index`` (from 0) replaced.

        Raises:
            IndexError: There is no such word.
        """
        place = 2 * index + 1
        if not 0 < place < len(self.pieces):
            raise IndexError(f"There is no word {index} in a text of {len(self)} words.")
        if self.pieces[place] == word:
            return self
        pieces = (*self.pieces[:place], word, *self.pieces[place + 1 :])
        return Words(pieces, self.changed | {index})

    def resegment(self, index: int, replacement: str) -> Words:
        """Return a copy with the word at ``index`` replaced by any number of words.

        As in TextAttack, the indices of later words shift, and all words of the replacement count
        as changed; signs around them are separators. A replacement that contains no word, or is
        one word, is handled by :meth:`replace`.

        Raises:
            IndexError: There is no such word.
        """
        parts = Words.of(replacement)
        if parts.words in ((), (replacement,)) or not 0 <= index < len(self):
            return self.replace(index, replacement)
        shift = len(parts) - 1
        before, after = self.pieces[: 2 * index], self.pieces[2 * index + 3 :]
        inner = list(parts.pieces)
        inner[0] = self.pieces[2 * index] + inner[0]
        inner[-1] += self.pieces[2 * index + 2]
        shifted = {i if i < index else i + shift for i in self.changed if i != index}
        changed = shifted | set(range(index, index + len(parts)))
        return Words((*before, *inner, *after), frozenset(changed))

    def without(self, index: int) -> Words:
        """Return a copy without the word at ``index`` and one space beside it, as in TextAttack.

        The deleted space is the one before the word, or for the first word the one after it.

        Raises:
            IndexError: There is no such word.
        """
        emptied = self.replace(index, "")
        pieces = list(emptied.pieces)
        place = 2 * index + 1
        if index == 0:
            pieces[place + 1] = pieces[place + 1].removeprefix(" ")
        elif "".join(
            pieces[place + 1 :]
        ):  # as in TextAttack, no space is deleted at the text's end
            pieces[place - 1] = pieces[place - 1].removesuffix(" ")
        return Words(tuple(pieces), emptied.changed)

    def __len__(self) -> int:
        return len(self.pieces) // 2

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Words({self.text!r}, changed={sorted(self.changed)})"


@dataclass(frozen=True, slots=True)
class AttackedInput:
    """An input of a classifier and the side of it that is attacked.

    Args:
        text: A text, or a pair of texts.
        side: Attacked text of a pair, 0 or 1; ignored for single texts.
    """

    text: Text
    side: int = 1

    @property
    def key(self) -> str:
        """The whole input as one string, for random draws that depend on the text."""
        return self.text if isinstance(self.text, str) else "\0".join(self.text)

    @property
    def words(self) -> Words:
        """The attacked side, segmented."""
        return Words.of(self.text if isinstance(self.text, str) else self.text[self.side])

    def whole(self, attacked: str) -> Text:
        """Return the whole input with the attacked side replaced by ``attacked``."""
        if isinstance(self.text, str):
            return attacked
        return (self.text[0], attacked) if self.side else (attacked, self.text[1])
