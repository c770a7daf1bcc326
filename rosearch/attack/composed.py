"""Attacks put together from parts."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from typing_extensions import Self

from rosearch.attack.base import Attack, Search, SearchContext
from rosearch.attack.constraints import Constraint
from rosearch.attack.searches import GreedyWordSwap, SearchMethod
from rosearch.attack.substitutions import Substitution
from rosearch.attack.swaps import WordSwaps
from rosearch.attack.text import Words


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
        resegment: See :class:`~rosearch.attack.swaps.WordSwaps`.
    """

    name = "word-swap"

    def __init__(
        self,
        substitution: Substitution,
        constraints: Sequence[Constraint] = (),
        search: SearchMethod | None = None,
        *,
        resegment: bool = True,
    ) -> None:
        self.substitution = substitution
        self.constraints = tuple(constraints)
        self.search_method = search or GreedyWordSwap()
        self.resegment = resegment

    def with_constraints(self, *constraints: Constraint) -> Self:
        """A copy with more constraints, which are asked after those it has.

        So any recipe can be held to a share of changed words::

            PWWS().with_constraints(MaxWordsChanged(share=0.1))
        """
        twin = copy.copy(self)
        twin.constraints = (*self.constraints, *constraints)
        return twin

    def prepare(self, texts: Sequence[Words]) -> None:
        """Look up the replacements of every word of ``texts``."""
        self.substitution.prepare(sorted({word for text in texts for word in text.words}))

    def search(self, text: Words, context: SearchContext) -> Search:
        swaps = WordSwaps(self.substitution, self.constraints, self.resegment)
        return (yield from self.search_method.search(swaps.start(text, context), context))
