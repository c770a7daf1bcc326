"""Parts of a text that change independently of each other, and what a victim reads of each."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from rosearch.attack.certificates.word_options import UndecidedError, WordOptions
from rosearch.attack.victim.tokenization import CHUNK_START
from rosearch.encode import Encoding

_MAX_TEXTS = 1 << 12
"""Texts of a part, after which nothing is known about it."""

_MAX_PAIRS = 1 << 16

ReadParts = Callable[[Sequence[str]], "Sequence[Hashable] | None"]
"""From canonical texts of parts to what the victim reads of each, such as token ids."""


@dataclass(frozen=True)
class TextPart:
    """Part of a text, by what the victim may read of it, whatever the other parts become."""

    text: str
    """The part as it stands in the text."""

    unchanged: Sequence[Hashable]
    """Distinct readings if none of its words is replaced: one, unless what stands beside the part
    may decide."""

    changed: Mapping[Hashable, str]
    """Distinct readings if at least one of its words is replaced, each with a text that has it."""

    words: int
    """Words that may be replaced."""

    is_exact: bool
    """Whether what stands beside the part decides nothing."""


def text_parts(options: WordOptions, encoding: Encoding | None, read: ReadParts) -> list[TextPart]:
    """Return the parts of a text, in reading order, with all that an attack may make of them.

    A part is a word and the signs around it, or several words that may be read together.

    Raises:
        UndecidedError: The readings of a part are unknown or too many.
    """
    parts: list[tuple[list[str], int]] = []
    for chunk, words in _chunks(options):
        while parts and encoding is not None and _may_join(encoding, parts[-1][0], chunk):
            before, more = parts.pop()
            if len(before) * len(chunk) > _MAX_TEXTS:
                raise UndecidedError(f"words that are read together have over {_MAX_TEXTS} forms")
            chunk = [left + right for left, right in itertools.product(before, chunk)]
            words += more
        parts.append((chunk, words))
    return [_read(texts, words, encoding, read) for texts, words in parts]


def _chunks(options: WordOptions) -> list[tuple[list[str], int]]:
    """Everything that each chunk of the text may become, first what it is, and its words.

    Chunks are those of :class:`~rosearch.attack.victim.tokenization.IncrementalTokenizer`.
    """
    text = options.words.text
    starts = [0, *(match.start() for match in CHUNK_START.finditer(text))]
    words = list(zip(options.words.spans, options.options, strict=True))
    found: list[tuple[list[str], int]] = []
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        inside = [(span, new) for span, new in words if start <= span[0] < end]
        slots: list[Sequence[str]] = []
        done = start
        for (first, last), new in inside:
            slots += [(text[done:first],), (text[first:last], *new)]
            done = last
        slots.append((text[done:end],))
        # White space at the ends of a replacement would change where chunks begin.
        is_plain = all(word and word == word.strip() for _, new in inside for word in new)
        if not is_plain:
            raise UndecidedError("a replacement is empty, or has white space at its ends")
        if math.prod(map(len, slots)) > _MAX_TEXTS:
            raise UndecidedError(f"words without spaces between them have over {_MAX_TEXTS} forms")
        texts = ["".join(pieces) for pieces in itertools.product(*slots)]
        found.append((texts, sum(bool(new) for _, new in inside)))
    return found


def _may_join(encoding: Encoding, left: Sequence[str], right: Sequence[str]) -> bool:
    """Whether any form of a part may be read together with any form of the next one."""
    if encoding.reads_words_alone:
        return False
    if len(left) * len(right) > _MAX_PAIRS:
        raise UndecidedError(f"words beside each other have over {_MAX_PAIRS} pairs of forms")
    return any(encoding.may_join(a, b) for a, b in itertools.product(left, right))


def _read(texts: Sequence[str], words: int, encoding: Encoding | None, read: ReadParts) -> TextPart:
    """What a victim reads of the forms of a part."""
    readings = [(text,) if encoding is None else encoding.readings(text) for text in texts]
    known = [found for found in readings if found is not None]
    canonical = [form for found in known for form in found]
    is_moved = any(
        bool(form) != bool(texts[0])
        or form[-1:].isspace() != texts[0][-1:].isspace()
        or form[:1].isspace() != texts[0][:1].isspace()
        for form in canonical
    )
    if len(known) < len(readings):
        raise UndecidedError("the encoding does not say what it may read a word as")
    if is_moved:
        raise UndecidedError("the encoding moves white space")
    forms = read(canonical)
    if forms is None:
        raise UndecidedError("what the tokenizer makes of a word may depend on the words beside it")
    origins = [text for text, found in zip(texts, known, strict=True) for _ in found]
    own = len(known[0])
    changed: dict[Hashable, str] = {}
    for form, text in zip(forms[own:], origins[own:], strict=True):
        changed.setdefault(form, text)
    is_exact = all(len(found) == 1 for found in known)
    return TextPart(texts[0], tuple(dict.fromkeys(forms[:own])), changed, words, is_exact)
