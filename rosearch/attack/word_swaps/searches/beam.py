"""Beam search over the replacements of all words."""

from __future__ import annotations

import numpy as np

from rosearch.attack.base import BudgetExhausted, Search, SearchContext
from rosearch.attack.text import Words
from rosearch.attack.word_swaps.candidates import TextSwaps
from rosearch.attack.word_swaps.searches.base import SearchMethod
from rosearch.checks import whole_number


class BeamSearch(SearchMethod):
    """Replaces any word in each of the best texts so far and keeps the best of the results.

    Pruthi et al. 2019, section 3, with width one. Texts, ties and query counts are those of
    TextAttack's ``BeamSearch``; as there, a step may lower the score. Unlike there, the search ends
    after as many steps as the text has words, even where no constraint limits the changes.

    Args:
        width: Number of texts kept at each step.

    Raises:
        ArgumentError: ``width`` is not a whole number from 1.
    """

    name = "beam"
    only_swaps = True
    keeps_limits = True

    def __init__(self, width: int = 1) -> None:
        self.width = whole_number("width", width)

    def search(self, swaps: TextSwaps, context: SearchContext) -> Search:
        best = swaps.original
        beam = [best]
        for _ in range(len(swaps.original)):
            step: list[Words] = []
            for text in beam:
                found: dict[str, Words] = {}
                # Words after one that was replaced by several have moved.
                moved = len(text) - len(swaps.original)
                for index in sorted({i + k for i in context.indices for k in (0, moved)}):
                    candidates = yield from swaps.candidates(text, index)
                    for candidate in candidates.texts:
                        found.setdefault(str(candidate), candidate)
                step += [found[key] for key in sorted(found)]
            if not step:
                return best
            exhausted = False
            try:
                answer = yield step
            except BudgetExhausted as signal:
                answer, exhausted = signal.answer, True
            order = np.argsort(-answer.scores, kind="stable")[: self.width]
            if not len(order):
                return best
            beam = [step[i] for i in order]
            best = beam[0]
            if exhausted or answer.succeeded[order[0]]:
                return best
        return best
