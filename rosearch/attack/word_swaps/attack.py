"""Attacks composed of a substitution, constraints and a search method."""

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
from rosearch.checks import instance
from rosearch.errors import DataError


class WordSwapAttack(Attack):
    """Replaces words: a substitution proposes, constraints filter, a search method selects.

    Every recipe is a word-swap attack, and so is any other combination of parts::

        attack = WordSwapAttack(
            Union([WordNetSynonyms(), CharacterEdits()]),
            [NoRepeat(), NoStopWords(), MaxEditDistance(10)],
            GreedyWordSwap("deletion"),
        )

    Args:
        substitution: Proposes replacements for a word.
        constraints: Each is checked on the candidates that those before it allow.
        search: The search method. Default: ``GreedyWordSwap("unknown")``.
        resegment: See :class:`~rosearch.attack.word_swaps.candidates.WordSwaps`.
        name: Name in reports and seeds. Default: the name of the class.

    Raises:
        ArgumentError: An argument has the wrong type, such as a class instead of an instance.
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
        self.substitution = instance(
            "substitution", substitution, Substitution, "an instance of Substitution"
        )
        self.constraints = _checked(constraints)
        self.search_method = instance(
            "search",
            search or GreedyWordSwap(),
            SearchMethod,  # type: ignore[type-abstract]
            "an instance of SearchMethod",
        )
        self.resegment = resegment
        if name is not None:
            self.name = name  # type: ignore[misc]

    def with_constraints(self, *constraints: Constraint, name: str | None = None) -> Self:
        """A copy with additional constraints, which are checked after the present ones.

        For example, to limit the share of perturbed words in any recipe::

            PWWS().with_constraints(MaxWordsChanged(share=0.1), name="pwws-10")

        Args:
            constraints: The additional constraints.
            name: Another name, so that one evaluator can run both. It changes the seeds of random
                substitutions. Default: the same name.

        Raises:
            ArgumentError: One is not a constraint.
        """
        twin = copy.copy(self)
        twin.constraints = (*self.constraints, *_checked(constraints))
        if name is not None:
            twin.name = name  # type: ignore[misc]
        return twin

    def lazily(self) -> Self:
        """A copy that checks expensive constraints, which run a model, after querying the victim.

        Verdicts and perturbed texts stay the same, but there are more queries; see
        :class:`~rosearch.attack.word_swaps.searches.LazyGreedyWordSwap`. It is much faster where
        the victim is a small student and most time goes into a sentence encoder::

            RobustnessEvaluator([TextFooler().lazily(), TextBugger().lazily()], test)

        Raises:
            DataError: The search method is not greedy.
        """
        # A subclass may search in another way, which would be lost.
        method = self.search_method
        kinds = (GreedyWordSwap, LazyGreedyWordSwap)
        if not isinstance(method, GreedyWordSwap) or type(method) not in kinds:
            raise DataError(
                f"Only attacks that search by GreedyWordSwap can check constraints lazily; "
                f"{self.name!r} searches by {type(self.search_method).__name__}."
            )
        twin = copy.copy(self)
        twin.search_method = LazyGreedyWordSwap(method.ranking)
        return twin

    @property
    def swaps(self) -> WordSwaps:
        """The replacements that the substitution proposes and the constraints allow."""
        return WordSwaps(self.substitution, self.constraints, self.resegment)

    def prepare(self, texts: Sequence[Words]) -> None:
        """Look up the replacements of every word of ``texts``."""
        self.substitution.prepare(sorted({word for text in texts for word in text.words}))

    def search(self, text: Words, context: SearchContext) -> Search:
        return (yield from self.search_method.search(self.swaps.start(text, context), context))


def _checked(constraints: Sequence[Constraint] | Constraint) -> tuple[Constraint, ...]:
    expected = "an instance of Constraint"
    if isinstance(constraints, Constraint):
        constraints = (constraints,)
    return tuple(instance("each constraint", c, Constraint, expected) for c in constraints)
