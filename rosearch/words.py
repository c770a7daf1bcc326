"""What a word is, for encodings and attacks alike.

Words are segmented as in TextAttack 0.3.11 (``words_from_text``): runs of letters, digits and a few
signs, with quotes, hyphens and similar signs removed from both ends. One difference: TextAttack
segments Chinese with the package jieba; here a run of Chinese characters is one word.
"""

from __future__ import annotations

import re

_TRIMMED = "'-_*@"
# ``\w`` plus what TextAttack adds: the trimmed signs, which may occur inside a word, and three
# homoglyphs of letters that are not ``\w`` themselves (those of "-", "`" and "x").
_RUN = re.compile("[\\w'\\-*@`\u02d7\u00d7]+")


def word_spans(text: str) -> list[tuple[int, int]]:
    """Return start and end of every word of ``text``, in characters, in reading order."""
    spans = []
    for match in _RUN.finditer(text):
        run = match.group()
        word = run.strip(_TRIMMED)
        if word:
            start = match.start() + len(run) - len(run.lstrip(_TRIMMED))
            spans.append((start, start + len(word)))
    return spans


def words_of(text: str) -> list[str]:
    """Return the words of ``text`` in reading order."""
    return [text[start:end] for start, end in word_spans(text)]
