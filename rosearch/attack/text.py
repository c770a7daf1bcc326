"""A text as words that an attack replaces.

Words are segmented as TextAttack 0.3.11 does it (``words_from_text``): runs of letters, digits
and a few signs, with quotes, hyphens and the like taken off both ends. One deviation: TextAttack
splits Chinese with the package jieba; here a run of Chinese characters is one word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rosearch.data import Text
from rosearch.errors import DataError

_TRIMMED = "'-_*@"
# ``\w`` plus what TextAttack adds: the trimmed signs, which may stand within a word, and three
# look-alikes of letters that are not ``\w`` themselves (its homoglyphs of "-", "`" and "x").
_RUN = re.compile("[\\w'\\-*@`\u02d7\u00d7]+")


def word_spans(text: str) -> list[tuple[int, int]]:
    """Start and end of every word of ``text``, in characters, in reading order."""
    spans = []
    for match in _RUN.finditer(text):
        run = match.group()
        left = len(run) - len(run.lstrip(_TRIMMED))
        core = run.strip(_TRIMMED)
        if core:
            start = match.start() + left
            spans.append((start, start + len(core)))
    return spans


@dataclass(frozen=True, slots=True, repr=False)
class Words:
    """A text that knows its words, and which of them were replaced.

    Make one with :meth:`of`. A replacement keeps its place: whatever is put in for word 3 is
    word 3 from then on, so that indices mean the same throughout an attack.
    """

    pieces: tuple[str, ...]
    """What stands between words and the words themselves, in turn: the words are at odd places."""
    changed: frozenset[int] = frozenset()
    """Indices of the words that were replaced by something else."""

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
        """The whole text, with punctuation and spacing as they were."""
        return "".join(self.pieces)

    @property
    def words(self) -> tuple[str, ...]:
        """The words, without what stands between them."""
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
        """A copy with the word at ``index`` (from 0) replaced.

        Raises:
            IndexError: There is no such word.
        """
        place = 2 * index + 1
        if not 0 < place < len(self.pieces):
            raise IndexError(f"Word {index} of a text of {len(self)} words.")
        if self.pieces[place] == word:
            return self
        pieces = (*self.pieces[:place], word, *self.pieces[place + 1 :])
        return Words(pieces, self.changed | {index})

    def resegment(self, index: int, replacement: str) -> Words:
        """A copy with the word at ``index`` replaced by any number of words, counted anew.

        Words behind it move, as in TextAttack; all words of the replacement count as changed, and
        signs around them are no part of them. A replacement without any word is what
        :meth:`replace` makes of it.

        Raises:
            IndexError: There is no such word.
        """
        parts = Words.of(replacement)
        if parts.words in ((), (replacement,)) or not 0 <= index < len(self):
            return self.replace(index, replacement)
        grown = len(parts) - 1
        before, after = self.pieces[: 2 * index], self.pieces[2 * index + 3 :]
        inner = list(parts.pieces)
        inner[0] = self.pieces[2 * index] + inner[0]
        inner[-1] += self.pieces[2 * index + 2]
        moved = {i if i < index else i + grown for i in self.changed if i != index}
        changed = moved | set(range(index, index + len(parts)))
        return Words((*before, *inner, *after), frozenset(changed))

    def without(self, index: int) -> Words:
        """A copy with the word at ``index`` deleted, with one space beside it, as in TextAttack.

        The space taken is the one before the word; of the first word, the one behind it.

        Raises:
            IndexError: There is no such word.
        """
        emptied = self.replace(index, "")
        pieces = list(emptied.pieces)
        place = 2 * index + 1
        if index == 0:
            # The check on what follows is TextAttack's: nothing is taken at the end of the text.
            pieces[place + 1] = pieces[place + 1].removeprefix(" ")
        elif "".join(pieces[place + 1 :]) and pieces[place - 1].endswith(" "):
            pieces[place - 1] = pieces[place - 1][:-1]
        return Words(tuple(pieces), emptied.changed)

    def __len__(self) -> int:
        return len(self.pieces) // 2

    def __str__(self) -> str:
        return "".join(self.pieces)

    def __repr__(self) -> str:
        return f"Words({self.text!r}, changed={sorted(self.changed)})"


@dataclass(frozen=True, slots=True)
class AttackedInput:
    """One input of a classifier and the side of it that an attack sees.

    Args:
        text: A text, or a pair of texts.
        side: 0 or 1, the text of the pair that is attacked; ignored for single texts.
    """

    text: Text
    side: int = 1

    @property
    def words(self) -> Words:
        """The attacked side, segmented."""
        return Words.of(self.text if isinstance(self.text, str) else self.text[self.side])

    def whole(self, attacked: str) -> Text:
        """The whole input with the attacked side replaced by ``attacked``."""
        if isinstance(self.text, str):
            return attacked
        return (self.text[0], attacked) if self.side else (attacked, self.text[1])

    def wholes(self, attacked: Sequence[Words]) -> list[Text]:
        """:meth:`whole` for many perturbed texts."""
        texts = ["".join(words.pieces) for words in attacked]
        if isinstance(self.text, str):
            return list(texts)
        first, second = self.text
        return [(first, t) for t in texts] if self.side else [(t, second) for t in texts]


def check_side(side: int) -> int:
    """``side`` if it names a side of a pair.

    Raises:
        DataError: It is neither 0 nor 1.
    """
    if side not in (0, 1):
        raise DataError(f"attacked_side is 0 (first text of a pair) or 1 (second), got {side!r}.")
    return int(side)
