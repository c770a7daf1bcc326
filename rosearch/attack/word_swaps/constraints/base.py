"""The interface of constraints."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rosearch.attack.resources.oracles import Asking
from rosearch.attack.settings import Part
from rosearch.attack.text import Words


@dataclass(frozen=True, slots=True)
class Change:
    """Candidates that differ from a text in one replaced word."""

    original: Words
    """The text before the attack."""
    current: Words
    """The text that the candidates were made from: the original with the changes so far."""
    index: int
    """Index of the replaced word in ``current``."""
    candidates: Sequence[Words]
    """``current`` with that word replaced, by one word or by several."""

    def new_words(self, candidate: Words) -> range:
        """Indices of the words of ``candidate`` that replace the word; empty if it was deleted."""
        end = self.index + 1 + len(candidate) - len(self.current)
        if end > self.index and not candidate.pieces[2 * self.index + 1]:
            return range(0)
        return range(self.index, end)

    def all_new_words(self) -> Iterator[tuple[int, int]]:
        """Each new word: the position of its candidate, and its index in the candidate."""
        for position, candidate in enumerate(self.candidates):
            for index in self.new_words(candidate):
                yield position, index


@dataclass(frozen=True, slots=True)
class Examined:
    """The verdicts of a constraint on candidates."""

    allowed: Sequence[bool]
    """Whether each candidate is allowed."""
    similarities: Sequence[float] | None = None
    """How similar in meaning each candidate is to the text; of several candidates that meet the
    goal, greedy search takes the most similar. ``None`` where the constraint does not measure
    it."""


class Constraint(Part, ABC):
    """Limits which words may be replaced and which texts may result. By default it limits neither.

    Define :meth:`allows_word` or :meth:`allows_text`, or :meth:`examine` where the constraint asks
    an oracle or depends on the previous step. Public attributes are settings.

    Attributes:
        expensive: Whether the check costs more than a query to the victim, because it runs a model
            on each candidate. The verdict on a candidate must then not depend on the other
            candidates, and :class:`~rosearch.attack.word_swaps.searches.LazyGreedyWordSwap` checks
            after it has queried the victim.
    """

    name: ClassVar[str]
    expensive: ClassVar[bool] = False

    reads_word_alone: ClassVar[bool] = False
    """Whether the verdict on each replaced word depends on nothing but this word and the original
    one in its place. Attacks remember such verdicts where words keep their places, and certificates
    leave out all other constraints. Each class sets it for itself."""

    def allows_word(self, text: Words, index: int) -> bool:
        """Whether the word at ``index`` of ``text`` may be replaced."""
        return True

    def allows_text(self, original: Words, candidate: Words) -> bool:
        """Whether ``candidate`` may replace ``original``."""
        return True

    def allows_swap(self, original: Words, current: Words, index: int) -> bool:
        """Whether :meth:`examine` may allow any word in the place of the one at ``index``.

        Asked before words are proposed, where each of them stays one word in its place; so it saves
        time, and changes nothing.
        """
        return True

    def most_changed(self, words: int) -> int | None:
        """Return the most words that may be replaced in a text of so many; ``None``: no limit."""
        return None

    def examine(self, change: Change) -> Asking[Examined]:
        """Judge candidates; a generator that may ask oracles. By default :meth:`allows_text`."""
        yield from ()
        original = change.original
        allowed = [self.allows_text(original, text) for text in change.candidates]
        if None in allowed:
            raise TypeError(
                f"{type(self).__name__}.allows_text returned None. Expected True or False."
            )
        return Examined(allowed)
