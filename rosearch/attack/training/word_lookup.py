"""Replacements that depend on the word alone, looked up once for all texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rosearch.attack.base import SearchContext
from rosearch.attack.resources.oracles import Asking
from rosearch.attack.settings import declares
from rosearch.attack.text import Words
from rosearch.attack.word_swaps.candidates import TextSwaps, WordSwaps
from rosearch.attack.word_swaps.constraints import Constraint, MaxEditDistance, NoRepeat

_CONTEXT = SearchContext(score=0.0, indices=(0,), text_key="")


@dataclass(frozen=True)
class WordLookup:
    """What a source puts in place of a word of a text that is unchanged otherwise.

    Without random numbers, each distinct word is looked up once.
    """

    swaps: WordSwaps
    _known: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, swaps: WordSwaps) -> WordLookup | None:
        """Return the lookup of a source; ``None`` if the text around a word matters."""
        is_alone = swaps.substitution.reads_word_alone and all(map(_is_alone, swaps.constraints))
        return cls(swaps) if is_alone else None

    def __call__(self, word: str, numbers: Sequence[float]) -> Asking[list[str]]:
        """Return the replacements of a word.

        Args:
            word: The word.
            numbers: Random numbers of the substitution.
        """
        known = None if numbers else self._known.get(word)
        if known is not None:
            return known
        text = Words(("", word, ""))
        alone = TextSwaps(self.swaps, text, _CONTEXT, (0,), [numbers])
        candidates = yield from alone.candidates(text, 0)
        found = list(map(str, candidates.texts))
        if not numbers:
            self._known[word] = found
        return found


def _is_alone(constraint: Constraint) -> bool:
    # A subclass may judge otherwise. A text's edit distance to one with a word replaced is that of
    # the words: what is equal before and behind adds nothing.
    if type(constraint) in (NoRepeat, MaxEditDistance):
        return True
    return declares(constraint, "reads_word_alone")
