"""Greedy word replacement by importance, the search that classic recipes share."""

from __future__ import annotations

import numpy as np

from rosearch.attack.base import Answer, BudgetExhausted, Search, SearchContext
from rosearch.attack.searches.base import SearchMethod
from rosearch.attack.searches.rankings import ranker
from rosearch.attack.swaps import Candidates, TextSwaps
from rosearch.attack.text import Words


class GreedyWordSwap(SearchMethod):
    """Words are ranked once, then replaced one after the other, each by what the victim minds most.

    Jin et al. 2019, algorithm 1; Ren et al. 2019, section 4. A replacement is kept only if it
    raises the score; the search ends with the first that meets the goal. Of several that meet it
    with the same word, the one closest in meaning is taken where a constraint measured that. Order,
    ties and query counts are those of TextAttack's ``GreedyWordSwapWIR``.

    Args:
        ranking: ``"unknown"``, ``"deletion"``, ``"weighted-saliency"``, ``"gradient"`` or
            ``"random"``.

    Raises:
        DataError: There is no such ranking.
    """

    name = "greedy-word-swap"

    def __init__(self, ranking: str = "unknown") -> None:
        self.ranking = ranking
        self._rank = ranker(ranking)

    def search(self, swaps: TextSwaps, context: SearchContext) -> Search:
        current, score = swaps.original, context.score
        try:
            order = yield from self._rank(swaps)
        except BudgetExhausted:
            return current
        for index in order:
            candidates = yield from swaps.candidates(current, index)
            if not candidates.texts:
                continue
            over = False
            try:
                answer = yield candidates.texts
            except BudgetExhausted as exhausted:
                answer, over = exhausted.answer, True
            if len(answer.scores):
                best = int(answer.scores.argmax())
                if answer.scores[best] > score:
                    current, score = candidates.texts[best], answer.scores[best]
                    if answer.succeeded[best]:
                        return _closest(candidates, answer)
            if over:
                break
        return current


def _closest(candidates: Candidates, answer: Answer) -> Words:
    """Of the best candidates, down to the first that misses the goal, the closest in meaning."""
    order = np.argsort(-answer.scores, kind="stable")
    if candidates.similarities is None:
        return candidates.texts[int(order[0])]
    succeeded = answer.succeeded[order]
    count = len(order) if succeeded.all() else int(np.argmin(succeeded))
    closest: int = max(order[:count].tolist(), key=candidates.similarities.__getitem__)
    return candidates.texts[closest]
