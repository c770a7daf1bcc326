"""Known words that are more probably a typo of another known word."""

from __future__ import annotations

from collections.abc import Mapping

from rosearch.encode.spelling_channel import EDIT, Channel, best, rests
from rosearch.encode.spelling_words import is_target


def merged_words(counts: Mapping[str, float], rate: float, *, kept: set[str]) -> dict[str, str]:
    """Return known words that are more probably a typo of another, which is no typo itself.

    Args:
        counts: Occurrences of the known words.
        rate: Share of words that are taken to be typos.
        kept: Words that are never read as another one.
    """
    merged: dict[str, str] = {}
    if not rate:
        return merged
    words = {word: count for word, count in counts.items() if is_target(word)}
    channel = Channel(words)
    # No word makes a typo with a higher probability than that of an edit, so from here on a word is
    # too rare for the rarest typo.
    least = (1 - rate) / rate * channel.count("") / EDIT
    rivals = _Neighbours()
    for word in sorted(words, key=lambda word: (-words[word], word)):
        found = {}
        if len(word) > 2 and word not in kept:
            near = {rival: channel.single_edit(rival, word) for rival in rivals.near(word)}
            found = {rival: probability for rival, probability in near.items() if probability}
        rival = best(found)
        if rival and rate * found[rival] > (1 - rate) * channel.count(word):
            merged[word] = rival
        elif channel.count(word) > least:
            rivals.add(word)
    return merged


class _Neighbours:
    """Words by what one deletion leaves of them."""

    def __init__(self) -> None:
        self._words: dict[str, list[str]] = {}

    def add(self, word: str) -> None:
        """Add a word."""
        for rest in rests(word):
            self._words.setdefault(rest, []).append(word)

    def near(self, word: str) -> set[str]:
        """Return all added words that are one edit away, and some others."""
        return {other for rest in rests(word) for other in self._words.get(rest, ())}
