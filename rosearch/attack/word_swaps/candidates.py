"""The replacements of words that a search may choose from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rosearch.attack.base import SearchContext
from rosearch.attack.resources.oracles import Asking
from rosearch.attack.text import Words
from rosearch.attack.word_swaps.constraints import Change, Constraint
from rosearch.attack.word_swaps.substitutions import Substitution
from rosearch.errors import DataError

UNKNOWN = "[UNK]"
"""What stands for a missing word in rankings, whatever the victim's own token for it."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Texts with one word of another text replaced, all allowed."""

    texts: Sequence[Words] = ()
    """Sorted by text, as TextAttack sorts them, so that ties fall alike."""
    similarities: Sequence[float] | None = None
    """How close in meaning each text is, where a constraint measured it."""


@dataclass(frozen=True)
class WordSwaps:
    """The replacements that a substitution proposes and all constraints allow.

    Args:
        substitution: Proposes words.
        constraints: Asked in turn about what those before have let through.
        resegment: Whether a replacement of several words makes the words behind it move, as in
            TextAttack, which then goes on with the wrong ones; else every word keeps its place.
    """

    substitution: Substitution
    constraints: Sequence[Constraint] = ()
    resegment: bool = True

    def start(self, original: Words, context: SearchContext) -> TextSwaps:
        """The replacements for one text, its random numbers drawn."""
        numbers: Sequence[Sequence[float]] = ()
        if self.substitution.draws:
            shape = (len(original), self.substitution.draws)
            numbers = context.rng("substitution").random(shape).tolist()
        indices = tuple(
            index
            for index in context.indices
            if all(c.allows_word(original, index) for c in self.constraints)
        )
        return TextSwaps(self, original, context, indices, numbers)


@dataclass(frozen=True)
class TextSwaps:
    """The replacements for one text."""

    swaps: WordSwaps
    original: Words
    context: SearchContext
    indices: tuple[int, ...]
    """Words that may be replaced, in reading order."""
    numbers: Sequence[Sequence[float]]
    """Random numbers, a row for each word; empty where the substitution uses none."""

    def allows_word(self, current: Words, index: int) -> bool:
        """Whether the word at ``index`` of ``current`` may still be replaced."""
        if index >= len(current):
            return False
        return all(c.allows_word(current, index) for c in self.swaps.constraints)

    def candidates(self, current: Words, index: int, *, lazily: bool = False) -> Asking[Candidates]:
        """Texts with the word at ``index`` of ``current`` replaced; may ask oracles.

        ``lazily`` leaves the dear constraints to :meth:`examine`.
        """
        if not self.allows_word(current, index):
            return Candidates()
        numbers = self._drawn(index)
        word = current.pieces[2 * index + 1]
        proposed = yield from self.swaps.substitution.propose_in(current, index, numbers)
        if isinstance(proposed, str) or not isinstance(proposed, Iterable):
            kind = type(self.swaps.substitution).__name__
            raise DataError(
                f"{kind}.propose must return the replacements of a word as a list of strings, got "
                f"{proposed!r}."
            )
        put = current.resegment if self.swaps.resegment else current.replace
        texts: list[Words] = [put(index, new) for new in proposed if new != word]
        asked = [c for c in self.swaps.constraints if not (lazily and c.dear)]
        kept, similarities = yield from self._allowed(current, index, texts, asked)
        # The words alone may sort otherwise than the texts: what follows the word counts too.
        order = sorted(range(len(kept)), key=[str(texts[i]) for i in kept].__getitem__)
        return Candidates(
            [texts[kept[i]] for i in order],
            None if similarities is None else [similarities[i] for i in order],
        )

    def examine(
        self, current: Words, index: int, texts: Sequence[Words]
    ) -> Asking[tuple[list[int], Sequence[float] | None]]:
        """Which of ``texts`` the dear constraints allow, by position, and how close each is."""
        dear = [constraint for constraint in self.swaps.constraints if constraint.dear]
        return (yield from self._allowed(current, index, texts, dear))

    def _allowed(
        self, current: Words, index: int, texts: Sequence[Words], constraints: Sequence[Constraint]
    ) -> Asking[tuple[list[int], Sequence[float] | None]]:
        places = list(range(len(texts)))
        similarities: Sequence[float] | None = None
        for constraint in constraints:
            if not places:
                break
            change = Change(self.original, current, index, [texts[i] for i in places])
            examined = yield from constraint.examine(change)
            kept = [i for i, allowed in enumerate(examined.allowed) if allowed]
            if examined.similarities is not None:
                similarities = examined.similarities
            places = [places[i] for i in kept]
            if similarities is not None:
                similarities = [similarities[i] for i in kept]
        return places, similarities

    def _drawn(self, index: int) -> Sequence[float]:
        draws = self.swaps.substitution.draws
        if not draws:
            return ()
        if index < len(self.numbers):
            return self.numbers[index]
        # The text has grown beyond the words that numbers were drawn for.
        more: list[float] = self.context.rng("substitution", index).random(draws).tolist()
        return more

    def blotted(self, index: int) -> Words:
        """The original with the word at ``index`` blotted out."""
        return self.original.replace(index, UNKNOWN)
