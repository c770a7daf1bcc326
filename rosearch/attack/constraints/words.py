"""Constraints on words and characters, which need nothing but the texts."""

from __future__ import annotations

from collections.abc import Iterable

from rosearch.attack.constraints.base import Constraint
from rosearch.attack.text import Words

STOP_WORDS = frozenset(
    """
    a about above after again against ain all am an and any are aren aren't as at be because been
    before being below between both but by can couldn couldn't d did didn didn't do does doesn
    doesn't doing don don't down during each few for from further had hadn hadn't has hasn hasn't
    have haven haven't having he he'd he'll he's her here hers herself him himself his how i i'd
    i'll i'm i've if in into is isn isn't it it'd it'll it's its itself just ll m ma me mightn
    mightn't more most mustn mustn't my myself needn needn't no nor not now o of off on once only
    or other our ours ourselves out over own re s same shan shan't she she'd she'll she's should
    should've shouldn shouldn't so some such t than that that'll the their theirs them themselves
    then there these they they'd they'll they're they've this those through to too under until up
    ve very was wasn wasn't we we'd we'll we're we've were weren weren't what when where which
    while who whom why will with won won't wouldn wouldn't y you you'd you'll you're you've your
    yours yourself yourselves
    """.split()
)
"""NLTK's English list of 198 words, the one that TextAttack reads."""


class NoRepeat(Constraint):
    """A word that was replaced is not replaced again."""

    name = "no-repeat"

    def allows_word(self, text: Words, index: int) -> bool:
        return index not in text.changed


class NoStopWords(Constraint):
    """Stop words stay.

    Words are compared with case, as TextAttack does it, so "The" at the start of a sentence may
    be replaced although "the" may not.

    Args:
        stop_words: The words. Default: :data:`STOP_WORDS`.
    """

    name = "no-stop-words"

    def __init__(self, stop_words: Iterable[str] | None = None) -> None:
        self._words = STOP_WORDS if stop_words is None else frozenset(stop_words)
        self.stop_words: str | list[str] = (
            "nltk-english-198" if stop_words is None else sorted(self._words)
        )

    def allows_word(self, text: Words, index: int) -> bool:
        return text.pieces[2 * index + 1] not in self._words


class MaxEditDistance(Constraint):
    """At most so many characters inserted, deleted or exchanged, counted from the original.

    Args:
        limit: Largest Levenshtein distance allowed, in characters.
    """

    name = "edit-distance"

    def __init__(self, limit: int = 30) -> None:
        self.limit = limit

    def allows_text(self, original: Words, candidate: Words) -> bool:
        # Word by word gives an upper bound, which settles almost every case at little cost.
        bound = 0
        for index in candidate.changed:
            before = original.pieces[2 * index + 1]
            bound += edit_distance(before, candidate.pieces[2 * index + 1])
            if bound > self.limit:
                return edit_distance(original.text, candidate.text) <= self.limit
        return True


def edit_distance(a: str, b: str) -> int:
    """Levenshtein distance: the fewest insertions, deletions and exchanges of a character."""
    start = 0
    shorter = min(len(a), len(b))
    while start < shorter and a[start] == b[start]:
        start += 1
    end = 0
    while end < shorter - start and a[-1 - end] == b[-1 - end]:
        end += 1
    a, b = a[start : len(a) - end], b[start : len(b) - end]
    if not a or not b:
        return len(a) + len(b)
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            best = min(diagonal + (x != y), row[j] + 1, row[j - 1] + 1)
            diagonal, row[j] = row[j], best
    return row[-1]
