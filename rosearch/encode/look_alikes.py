"""Characters that look or mean the same: Latin skeletons (Unicode UTS #39) and lower case."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from rosearch.encode.confusables import ascii_twins

UNKNOWN = "unk"
"""What encodings that tell no unknown words apart read them as."""

_WORD = re.compile(r"[^\W\d_]+(?:['\-]+[^\W\d_]+)*")
_LATIN = re.compile("[a-z]")


def skeleton(word: str) -> str:
    """Return a word with characters that only look like Latin ones replaced by these.

    Confusables of Unicode UTS #39 become ASCII letters, digits, hyphens and apostrophes, and so do
    compatibility forms such as full-width, mathematical and ligature letters. Case and accents
    stay. A word of another script stays as it is, even where all of it looks Latin: a word is only
    changed if it holds an ASCII letter or digit, or all of it is in Latin script or a style of it,
    and nothing of another script remains.
    """
    if word.isascii():
        return word.replace("`", "'")
    plain = "".join(map(_twin, word))
    if any(c.isascii() and c.isalpha() for c in word):
        mixed = all(map(_is_latin, plain))
    elif any(c.isascii() and c.isdigit() for c in word):
        mixed = plain.isascii() and plain.isdigit()
    else:
        mixed = all(map(_is_latin, word))
    return plain if mixed else word


def is_plain_word(word: str) -> bool:
    """Whether a word consists of letters, with hyphens and apostrophes between them."""
    return _WORD.fullmatch(word) is not None


def is_latin_word(word: str) -> bool:
    """Whether a word is a plain one in lower case, with letters from a to z."""
    return is_plain_word(word) and _LATIN.search(word) is not None


def lower_case(text: str) -> str:
    """Return the text in lower case, each character by itself, in as many characters."""
    lowered = text.lower()
    # A final sigma depends on what follows, and the lower case of some letters is two characters.
    if text.isascii() or (len(lowered) == len(text) and "\u03a3" not in text):
        return lowered
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


@lru_cache(1 << 14)
def _twin(character: str) -> str:
    """The ASCII characters that a character looks like, or itself."""
    if character == "`":
        return "'"
    if character.isascii():
        return character
    plain = unicodedata.normalize("NFKC", character)
    if plain.isascii() and plain.isalnum():
        return plain
    twins = set(ascii_twins().get(character, ()))
    if not twins:
        return character
    # "1", "l" and "I" look the same and stand for each other: prefer what the character itself is.
    twins |= {"1", "l", "I"} if "l" in twins else set()
    kind = (character.isnumeric(), character.isupper())
    return min(twins, key=lambda twin: (twin.isdigit() != kind[0], twin.isupper() != kind[1], twin))


@lru_cache(1 << 14)
def _is_latin(character: str) -> bool:
    """Whether a character is Latin or ASCII, or a styled form of such a letter."""
    if character.isascii() or unicodedata.name(character, "").startswith("LATIN "):
        return True
    twin = unicodedata.normalize("NFKC", character)
    return twin.isascii() and twin.isalpha()
