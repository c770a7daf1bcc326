"""What a word is, for encodings and attacks alike.

In ASCII texts words are those of TextAttack 0.3.11 (``words_from_text``): runs of letters and
digits, with the signs ``'-_*@`` between them. Other texts follow Unicode's word boundaries (Unicode
Standard Annex 29), where TextAttack cuts words at combining marks: marks, joiners and format
characters belong to the word around them, and a typographic apostrophe joins letters as the plain
one does. Scripts without spaces (Chinese, Japanese, Thai) would need a dictionary: a run of their
letters is one word, where TextAttack segments Chinese with the package jieba.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import regex

_SIGNS = r"'\-_*@"
_ASCII_WORD = re.compile(f"[0-9A-Za-z`]+(?:[{_SIGNS}]+[0-9A-Za-z`]+)*")
# The last three are TextAttack's homoglyphs of "`", "-" and "x".
_LETTERS = r"\p{L}\p{N}\p{WB=Katakana}`\u02d7\u00d7"
# Besides letters ALetter has signs such as a lone cedilla: part of a word, but none of their own.
_MARKS = r"\p{WB=Extend}\p{WB=ZWJ}[\p{WB=ALetter}\p{WB=Numeric}--[\p{L}\p{N}]]"
_JOINING = rf"[{_SIGNS}\p{{WB=Format}}][{_SIGNS}\p{{WB=Format}}{_MARKS}]*+"
# Unicode has them join letters only. The ASCII ones, "." and ":", are separators in TextAttack.
_CASED = r"[\p{WB=ALetter}\p{WB=Hebrew_Letter}]"
_APOSTROPHE = (
    rf"(?<={_CASED}[{_MARKS}]*)[[\p{{WB=MidLetter}}\p{{WB=MidNumLet}}]--[.:]]"
    rf"[{_MARKS}]*+(?={_CASED})"
)
# Between Hebrew letters a quote is the sign of an acronym (WB7b, WB7c).
_ACRONYM = rf'(?<=\p{{WB=Hebrew_Letter}}[{_MARKS}]*)"[{_MARKS}]*+(?=\p{{WB=Hebrew_Letter}})'
_RUN = f"[{_LETTERS}][{_LETTERS}{_MARKS}]*+"
_WORD = regex.compile(
    f"{_RUN}(?:(?:{_JOINING}|{_APOSTROPHE}|{_ACRONYM})++{_RUN})*+", regex.VERSION1 | regex.UNICODE
)
_CLUSTER = regex.compile(r"\X")


def word_spans(text: str) -> list[tuple[int, int]]:
    """Return start and end of every word of ``text``, in characters, in reading order."""
    pattern = _ASCII_WORD if text.isascii() else _WORD  # the same words, in half the time
    return [match.span() for match in pattern.finditer(text)]


def words_of(text: str) -> list[str]:
    """Return the words of ``text`` in reading order."""
    pattern = _ASCII_WORD if text.isascii() else _WORD
    found: list[str] = pattern.findall(text)
    return found


def cluster_borders(word: str) -> Sequence[int]:
    """Return where the grapheme clusters of ``word`` start, and its length.

    A grapheme cluster is what readers see as one character, such as a letter and its accents.
    """
    if word.isascii():  # a word has no "\r\n", the only cluster of several ASCII characters
        return range(len(word) + 1)
    return [0, *(match.end() for match in _CLUSTER.finditer(word))]
