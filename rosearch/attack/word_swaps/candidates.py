"""The replacements of words that a search may choose from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from typing import TypeAlias

from rosearch.attack.base import SearchContext
from rosearch.attack.resources.oracles import Asking
from rosearch.attack.settings import declares
from rosearch.attack.text import Words
from rosearch.attack.word_swaps.constraints import Change, Constraint
from rosearch.attack.word_swaps.substitutions import Substitution
from rosearch.errors import DataError


@dataclass(frozen=True, slots=True)
class Candidates:
    """Texts with one word of another text replaced, all allowed by the constraints."""

    texts: Sequence[Words] = ()
    """Sorted by text, as in TextAttack, so that ties are broken alike."""
    similarities: Sequence[float] = ()
    """How similar in meaning each text is; 0 where no constraint measured it."""

    def select(self, positions: Sequence[int]) -> Candidates:
        """The candidates at ``positions``, in that order."""
        return Candidates(
            [self.texts[i] for i in positions], [self.similarities[i] for i in positions]
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

    @cached_property
    def word_constraints(self) -> Sequence[Constraint]:
        """Constraints that read no more than a word and the original one in its place.

        They may be checked first: those before them judge each candidate by itself.
        """
        apart = takewhile(_judges_apart, self.constraints)
        return [one for one in apart if _reads_word_alone(one)]

    @cached_property
    def text_constraints(self) -> Sequence[Constraint]:
        """All others."""
        moved = set(map(id, self.word_constraints))
        return [one for one in self.constraints if id(one) not in moved]

    def start(self, original: Words, context: SearchContext) -> TextSwaps:
        """The replacements for one text, with its random numbers drawn."""
        shape = (len(original), self.substitution.draws)
        numbers: list[list[float]] = context.rng("substitution").random(shape).tolist()
        indices = tuple(i for i in context.indices if self.allows_word(original, i))
        return TextSwaps(self, original, context, indices, numbers)

    def propose(self, text: Words, index: int, numbers: Sequence[float]) -> Asking[Sequence[str]]:
        """What the substitution proposes for the word at ``index`` of ``text``.

        Raises:
            DataError: That is no list of strings.
        """
        proposed = yield from self.substitution.propose_in(text, index, numbers)
        if isinstance(proposed, str) or not isinstance(proposed, Iterable):
            raise DataError(
                f"{type(self.substitution).__name__}.propose must return the replacements of a "
                f"word as a list of strings, got {proposed!r}."
            )
        return proposed

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
    """Random numbers, a row for each word."""
    screen: Screen | None = None
    """Applied to the allowed candidates."""
    _known: dict[tuple[int, str], Sequence[tuple[str, float]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

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
        if self.swaps.resegment:
            constraints = self.swaps.constraints
            texts = yield from self._proposed(current, index)
            similarities: Mapping[int, float] = dict.fromkeys(range(len(texts)), 0.0)
        elif all(c.allows_swap(self.original, current, index) for c in self.swaps.constraints):
            constraints = self.swaps.text_constraints
            words = yield from self._allowed_words(current, index)
            texts = [current.replace(index, new) for new, _ in words]
            similarities = {i: similarity for i, (_, similarity) in enumerate(words)}
        else:
            return Candidates()
        lazily = lazily and self.screen is None
        checked = [c for c in constraints if not (lazily and c.expensive)]
        allowed = yield from self._examine(current, index, texts, similarities, checked)
        # Sorted by the whole text: words alone may sort differently.
        order = sorted(allowed, key=[str(text) for text in texts].__getitem__)
        found = Candidates([texts[i] for i in order], [allowed[i] for i in order])
        return found if self.screen is None else self.screen(current, index, found)

    def _proposed(self, current: Words, index: int) -> Asking[list[Words]]:
        """Texts with the word replaced by what is proposed for it."""
        word = current.pieces[2 * index + 1]
        proposed = yield from self.swaps.propose(current, index, self.random_numbers(index))
        put = current.resegment if self.swaps.resegment else current.replace
        return [put(index, new) for new in proposed if new != word]

    def _allowed_words(self, current: Words, index: int) -> Asking[Sequence[tuple[str, float]]]:
        """What is proposed for a word that keeps its place, and allowed whatever the others are.

        With how similar in meaning each is. It is remembered: a search asks for the same word in
        many texts.
        """
        key = index, current.pieces[2 * index + 1]
        known = self._known.get(key)
        if known is None:
            texts = yield from self._proposed(current, index)
            start = dict.fromkeys(range(len(texts)), 0.0)
            checked, place = self.swaps.word_constraints, 2 * index + 1
            allowed = yield from self._examine(current, index, texts, start, checked)
            known = [(texts[i].pieces[place], value) for i, value in allowed.items()]
            if self.swaps.substitution.reads_word_alone:
                self._known[key] = known
        return known

    def examine_expensive(
        self, current: Words, index: int, texts: Sequence[Words], similarities: Mapping[int, float]
    ) -> Asking[Mapping[int, float]]:
        """Check the expensive constraints only.

        Args:
            current: The text so far.
            index: Index of the word.
            texts: The candidates.
            similarities: Positions in ``texts`` of those to be checked, and how similar in meaning
                each of these is.

        Returns:
            The same for those that are allowed.
        """
        expensive = [constraint for constraint in self.swaps.constraints if constraint.expensive]
        return (yield from self._examine(current, index, texts, similarities, expensive))

    def _examine(
        self,
        current: Words,
        index: int,
        texts: Sequence[Words],
        similarities: Mapping[int, float],
        constraints: Sequence[Constraint],
    ) -> Asking[Mapping[int, float]]:
        allowed = similarities
        for constraint in constraints:
            if not allowed:
                break
            change = Change(self.original, current, index, [texts[i] for i in allowed])
            examined = yield from constraint.examine(change)
            measured = examined.similarities
            values = allowed.values() if measured is None else measured
            rows = zip(allowed, examined.allowed, values, strict=True)
            allowed = {i: value for i, passes, value in rows if passes}
        return allowed

    def random_numbers(self, index: int) -> Sequence[float]:
        """The random numbers of the substitution for the word at ``index``."""
        if index < len(self.numbers):
            return self.numbers[index]
        # The text has grown past the words that numbers were drawn for.
        draws = self.swaps.substitution.draws
        more: list[float] = self.context.rng("substitution", index).random(draws).tolist()
        return more


def _reads_word_alone(constraint: Constraint) -> bool:
    return declares(constraint, "reads_word_alone") and not constraint.expensive


def _judges_apart(constraint: Constraint) -> bool:
    """Whether the verdict on a candidate depends on no other candidate."""
    default = type(constraint).examine is Constraint.examine
    return default or constraint.expensive or _reads_word_alone(constraint)
