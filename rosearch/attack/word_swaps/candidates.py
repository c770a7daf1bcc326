"""The replacements of words that a search may choose from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rosearch.attack.base import SearchContext
from rosearch.attack.resources.oracles import Asking
from rosearch.attack.text import Words
from rosearch.attack.word_swaps.constraints import Change, Constraint
from rosearch.attack.word_swaps.substitutions import Substitution
from rosearch.errors import DataError


@dataclass(frozen=True, slots=True)
class Candidates:
    """Texts with one word of another text replaced, all allowed by the constraints."""

    texts: Sequence[Words] = ()
    """Sorted by text, as in TextAttack, so that ties are broken alike."""
    similarities: Sequence[float] | None = None
    """How similar in meaning each text is, where a constraint measured it."""

    def select(self, positions: Iterable[int]) -> Candidates:
        """The candidates at ``positions``, in that order."""
        chosen = list(positions)
        similarities = self.similarities
        return Candidates(
            [self.texts[i] for i in chosen],
            None if similarities is None else [similarities[i] for i in chosen],
        )


Screen: TypeAlias = Callable[[Words, int, Candidates], Candidates]
"""Drops some of the candidates for the word at an index of the current text."""


@dataclass(frozen=True)
class WordSwaps:
    """The replacements that a substitution proposes and all constraints allow.

    Args:
        substitution: Proposes words.
        constraints: Each is checked on the candidates that those before it allow.
        resegment: Whether a replacement of several words counts as several words, which moves the
            words after it, as in TextAttack; a search then continues at the old indices. Otherwise
            every word keeps its index.
    """

    substitution: Substitution
    constraints: Sequence[Constraint] = ()
    resegment: bool = True

    def start(self, original: Words, context: SearchContext) -> TextSwaps:
        """The replacements for one text, with its random numbers drawn."""
        numbers: Sequence[Sequence[float]] = ()
        if self.substitution.draws:
            shape = (len(original), self.substitution.draws)
            numbers = context.rng("substitution").random(shape).tolist()
        indices = tuple(i for i in context.indices if self.allows_word(original, i))
        return TextSwaps(self, original, context, indices, numbers)

    def allows_word(self, text: Words, index: int) -> bool:
        """Whether the constraints allow the word at ``index`` of ``text`` to be replaced."""
        return all(c.allows_word(text, index) for c in self.constraints)


@dataclass(frozen=True)
class TextSwaps:
    """The replacements for one text."""

    swaps: WordSwaps
    original: Words
    context: SearchContext
    indices: tuple[int, ...]
    """Indices of the words that may be replaced, in reading order."""
    numbers: Sequence[Sequence[float]]
    """Random numbers, a row for each word; empty where the substitution draws none."""
    screen: Screen | None = None
    """Applied to the allowed candidates."""

    def candidates(self, current: Words, index: int, *, lazily: bool = False) -> Asking[Candidates]:
        """Texts with the word at ``index`` of ``current`` replaced; may ask oracles.

        Args:
            current: The text so far.
            index: Index of the word.
            lazily: Leave the expensive constraints to :meth:`examine_expensive`, unless there is a
                screen, which selects among the allowed candidates.
        """
        if index >= len(current) or not self.swaps.allows_word(current, index):
            return Candidates()
        word = current.pieces[2 * index + 1]
        proposed = yield from self.swaps.substitution.propose_in(
            current, index, self.random_numbers(index)
        )
        if isinstance(proposed, str) or not isinstance(proposed, Iterable):
            raise DataError(
                f"{type(self.swaps.substitution).__name__}.propose must return the replacements of "
                f"a word as a list of strings, got {proposed!r}."
            )
        put = current.resegment if self.swaps.resegment else current.replace
        texts: list[Words] = [put(index, new) for new in proposed if new != word]
        lazily = lazily and self.screen is None
        checked = [c for c in self.swaps.constraints if not (lazily and c.expensive)]
        kept, similarities = yield from self._examine(current, index, texts, checked)
        allowed = Candidates([texts[i] for i in kept], similarities)
        # Sorted by the whole text: words alone may sort differently.
        keys = [str(text) for text in allowed.texts]
        found = allowed.select(sorted(range(len(keys)), key=keys.__getitem__))
        return found if self.screen is None else self.screen(current, index, found)

    def examine_expensive(
        self, current: Words, index: int, texts: Sequence[Words]
    ) -> Asking[tuple[list[int], Sequence[float] | None]]:
        """Check the expensive constraints only.

        Returns:
            Positions in ``texts`` of the allowed ones, and how similar in meaning each of these is,
            where a constraint measured it.
        """
        expensive = [constraint for constraint in self.swaps.constraints if constraint.expensive]
        return (yield from self._examine(current, index, texts, expensive))

    def _examine(
        self, current: Words, index: int, texts: Sequence[Words], constraints: Sequence[Constraint]
    ) -> Asking[tuple[list[int], Sequence[float] | None]]:
        positions = list(range(len(texts)))
        similarities: Sequence[float] | None = None
        for constraint in constraints:
            if not positions:
                break
            change = Change(self.original, current, index, [texts[i] for i in positions])
            examined = yield from constraint.examine(change)
            kept = [i for i, allowed in enumerate(examined.allowed) if allowed]
            if examined.similarities is not None:
                similarities = examined.similarities
            positions = [positions[i] for i in kept]
            if similarities is not None:
                similarities = [similarities[i] for i in kept]
        return positions, similarities

    def random_numbers(self, index: int) -> Sequence[float]:
        """The random numbers of the substitution for the word at ``index``."""
        draws = self.swaps.substitution.draws
        if index < len(self.numbers) or not draws:
            return self.numbers[index] if draws else ()
        # The text has grown past the words that numbers were drawn for.
        more: list[float] = self.context.rng("substitution", index).random(draws).tolist()
        return more
