"""Characters that look like ASCII ones, by Unicode UTS #39."""

from __future__ import annotations

import string
from collections.abc import Mapping
from functools import cache

_PLAIN = frozenset(string.ascii_letters + string.digits + "-'")


@cache
def ascii_twins() -> Mapping[str, str]:
    """Return the ASCII letters, digits, hyphens and apostrophes that look like a character."""
    # Its data is read at the first import, and most texts are ASCII.
    from confusable_homoglyphs.confusables import confusables_data

    twins = {
        character: "".join(sorted({found["c"] for found in likes} & _PLAIN))
        for character, likes in confusables_data.items()
        if not character.isascii()
    }
    return {character: likes for character, likes in sorted(twins.items()) if likes}
