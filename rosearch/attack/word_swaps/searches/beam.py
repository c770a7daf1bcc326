"""Beam search over all words at once."""

from __future__ import annotations

import numpy as np

from rosearch.attack.base import BudgetExhausted, Search, SearchContext
from rosearch.attack.settings import check_whole
from rosearch.attack.text import Words
from rosearch.attack.word_swaps.candidates import TextSwaps
from rosearch.attack.word_swaps.searches.base import SearchMethod


class BeamSearch(SearchMethod):
    """Replaces any word in each of the best texts so far, and keeps the best of what comes of it.

    Pruthi et al. 2019, section 3, uses it with width one. Texts, ties and query counts are those of
    TextAttack's ``BeamSearch``; a step may lower the score, as there. Unlike there, the search ends
    where no constraint limits the changes.

    Args:
        width: Texts kept at each step.
        steps: Most steps; each replaces one word. Default: as many as the text has words.

    Raises:
        DataError: ``width`` or ``steps`` is no whole number from 1.
    """

    name = "beam"

    def __init__(self, width: int = 1, *, steps: int | None = None) -> None:
        self.width = check_whole("width", width)
        self.steps = None if steps is None else check_whole("steps", steps)

    def search(self, swaps: TextSwaps, context: SearchContext) -> Search:
        beam = [swaps.original]
        best = swaps.original
        for _ in range(len(swaps.original) if self.steps is None else self.steps):
            step: list[Words] = []
            for text in beam:
                found: dict[str, Words] = {}
                # Where one word became several, those behind it have moved.
                moved = len(text) - len(swaps.original)
                for index in sorted({i + k for i in context.indices for k in (0, moved)}):
                    candidates = yield from swaps.candidates(text, index)
                    for candidate in candidates.texts:
                        found.setdefault(str(candidate), candidate)
                step += [found[key] for key in sorted(found)]
            if not step:
                return best
            over = False
            try:
                answer = yield step
            except BudgetExhausted as exhausted:
                answer, over = exhausted.answer, True
            if not len(answer.scores):
                return best
            place = int(answer.scores.argmax())
            best = step[place]
            if over or answer.succeeded[place]:
                return best
            order = np.argsort(-answer.scores, kind="stable")[: self.width]
            beam = [step[i] for i in order]
        return best
