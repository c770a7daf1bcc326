"""What an attack must leave alone: the interface."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rosearch.attack.resources.oracles import Asking
from rosearch.attack.settings import Part
from rosearch.attack.text import Words


@dataclass(frozen=True, slots=True)
class Change:
    """Candidates that differ from a text in one word, for a constraint to look at."""

    original: Words
    """The text before the attack."""
    current: Words
    """The text that the candidates were made from: the original with the changes so far."""
    index: int
    """The word of ``current`` that was replaced."""
    candidates: Sequence[Words]
    """``current`` with that word replaced."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What a constraint makes of candidates."""

    allowed: Sequence[bool]
    """Whether each candidate may be used."""
    similarities: Sequence[float] | None = None
    """How close in meaning each is; of several candidates that meet the goal, greedy search takes
    the closest. ``None`` where the constraint does not measure it."""


class Constraint(Part, ABC):
    """Which words may be changed, and which texts may come of it. Both by default: all.

    Authors give :meth:`allows_word`, :meth:`allows_text`, or, where an oracle is asked or the
    previous step matters, :meth:`examine`. Public attributes are settings.

    Attributes:
        dear: Whether asking costs more than asking the victim: a model is run for each candidate.
            Each candidate is then judged by itself, whatever the others are, and
            :class:`~rosearch.attack.word_swaps.searches.LazyGreedyWordSwap` asks after the victim.
    """

    name: ClassVar[str]
    dear: ClassVar[bool] = False

    def allows_word(self, text: Words, index: int) -> bool:
        """Whether the word at ``index`` of ``text`` may be replaced."""
        return True

    def allows_text(self, original: Words, candidate: Words) -> bool:
        """Whether ``candidate`` is an acceptable change of ``original``."""
        return True

    def examine(self, change: Change) -> Asking[Examined]:
        """Judge candidates; a generator that may ask oracles. By default :meth:`allows_text`."""
        yield from ()  # nothing to ask
        original = change.original
        allowed = [self.allows_text(original, text) for text in change.candidates]
        if None in allowed:
            raise TypeError(
                f"{type(self).__name__}.allows_text returned None. Expected True or False."
            )
        return Examined(allowed)
