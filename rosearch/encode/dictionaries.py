"""Words of a language and how frequent they are, for spelling."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from rosearch.errors import MissingResourceError

DICTIONARIES = ("none", "english")


@cache
def word_shares(dictionary: str) -> Mapping[str, float]:
    """Return the share of each lower-case word in texts of a language.

    Args:
        dictionary: ``"english"``: some 83,000 words of the package symspellpy, with frequencies of
            Google's books; ``"none"``: no words.

    Raises:
        MissingResourceError: The package is not installed.
    """
    if dictionary == "none":
        return MappingProxyType({})
    try:
        file = files("symspellpy") / "frequency_dictionary_en_82_765.txt"
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (ModuleNotFoundError, FileNotFoundError):
        raise MissingResourceError(
            'The English dictionary was not found. Get it with: pip install "rosearch[dictionary]"'
        ) from None
    counts = {word: int(count) for word, count in map(str.split, lines)}
    total = sum(counts.values())
    return MappingProxyType({word: count / total for word, count in counts.items()})
