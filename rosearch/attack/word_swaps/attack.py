"""Attacks put together from parts."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from typing_extensions import Self

from rosearch.attack.base import Attack, Search, SearchContext
from rosearch.attack.text import Words
from rosearch.attack.word_swaps.candidates import WordSwaps
from rosearch.attack.word_swaps.constraints import Constraint
from rosearch.attack.word_swaps.searches import GreedyWordSwap, LazyGreedyWordSwap, SearchMethod
from rosearch.attack.word_swaps.substitutions import Substitution
from rosearch.errors import DataError


class WordSwapAttack(Attack):
    """Replaces words: a substitution proposes, constraints refuse, a search method chooses.

    Every recipe is one of these; so is any mixture of their parts::

        attack = WordSwapAttack(
            Union([WordNetSynonyms(), CharacterEdits()]),
            [NoRepeat(), NoStopWords(), MaxEditDistance(10)],
            GreedyWordSwap("deletion"),
        )

    Args:
        substitution: Proposes replacements for a word.
        constraints: Asked in turn about what those before have let through.
        search: Chooses. Default: greedy, by blotting words out.
        resegment: See :class:`~rosearch.attack.word_swaps.candidates.WordSwaps`.
        name: Name in reports and seeds. Default: that of the class.

    Raises:
        DataError: A part is not what it should be, a class instead of an instance for one.
    """

    name = "word-swap"

    def __init__(
        self,
        substitution: Substitution,
        constraints: Sequence[Constraint] = (),
        search: SearchMethod | None = None,
        *,
        resegment: bool = True,
        name: str | None = None,
    ) -> None:
        if isinstance(constraints, Constraint):
            constraints = (constraints,)
        _require(substitution, Substitution)
        for constraint in constraints:
            _require(constraint, Constraint)
        _require(search or GreedyWordSwap(), SearchMethod)
        self.substitution = substitution
        self.constraints = tuple(constraints)
        self.search_method = search or GreedyWordSwap()
        self.resegment = resegment
        if name is not None:
            self.name = name  # type: ignore[misc]

    def with_constraints(self, *constraints: Constraint, name: str | None = None) -> Self:
        """A copy with more constraints, which are asked after those it has.

        So any recipe can be held to a share of changed words::

            PWWS().with_constraints(MaxWordsChanged(share=0.1), name="pwws-10")

        Args:
            constraints: The constraints.
            name: Another name, to have both in one evaluator. It changes the seeds of random
                substitutions. Default: the same name.

        Raises:
            DataError: One is no constraint.
        """
        for constraint in constraints:
            _require(constraint, Constraint)
        twin = copy.copy(self)
        twin.constraints = (*self.constraints, *constraints)
        if name is not None:
            twin.name = name  # type: ignore[misc]
        return twin

    def lazily(self) -> Self:
        """A copy that asks dear constraints, those that run a model, after the victim.

        Verdicts and perturbed texts stay the same, the queries are more: see
        :class:`~rosearch.attack.word_swaps.searches.LazyGreedyWordSwap`. Where the victim is a
        small student and a sentence encoder takes most of the time, this takes a fraction of it::

            RobustnessEvaluator([TextFooler().lazily(), TextBugger().lazily()], test)

        Raises:
            DataError: The search method is none of :class:`GreedyWordSwap`.
        """
        if type(self.search_method) not in (GreedyWordSwap, LazyGreedyWordSwap):
            raise DataError(
                f"Only greedy word swaps can wait with constraints, and {self.name!r} searches by "
                f"{type(self.search_method).__name__}."
            )
        twin = copy.copy(self)
        twin.search_method = LazyGreedyWordSwap(self.search_method.ranking)  # type: ignore[attr-defined]
        return twin

    def prepare(self, texts: Sequence[Words]) -> None:
        """Look up the replacements of every word of ``texts``."""
        self.substitution.prepare(sorted({word for text in texts for word in text.words}))

    def search(self, text: Words, context: SearchContext) -> Search:
        swaps = WordSwaps(self.substitution, self.constraints, self.resegment)
        return (yield from self.search_method.search(swaps.start(text, context), context))


def _require(part: object, kind: type) -> None:
    if not isinstance(part, kind):
        given = f"the class {part.__name__}" if isinstance(part, type) else repr(part)
        raise DataError(
            f"Expected an instance of {kind.__name__}, got {given:.80}. An attack is "
            f"WordSwapAttack(substitution, [constraint, ...], search_method)."
        )
