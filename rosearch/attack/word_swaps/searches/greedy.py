"""Greedy word replacement by importance, the search that classic recipes share."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rosearch.attack.base import Answer, BudgetExhausted, Search, SearchContext
from rosearch.attack.text import Words
from rosearch.attack.word_swaps.candidates import Candidates, TextSwaps
from rosearch.attack.word_swaps.searches.base import SearchMethod
from rosearch.attack.word_swaps.searches.rankings import ranker


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
        choose = self._chooser(context)
        for index in order:
            step = yield from choose(swaps, current, index, score)
            current, score = step.text, step.score
            if step.ends:
                break
        return current

    def _chooser(self, context: SearchContext) -> _Chooser:
        return _choose


class LazyGreedyWordSwap(GreedyWordSwap):
    """:class:`GreedyWordSwap` that asks dear constraints only about what it would choose.

    The victim, a small student, is asked first about everything that the cheap constraints allow;
    models of meaning or fluency are then run on the best of it, down to the first that they
    allow, instead of on all. Verdicts and perturbed texts are the same. Queries are others: they
    count what the victim was asked, which is more. Where a budget limits them, constraints come
    first, as in :class:`GreedyWordSwap`.

    It suits attacks whose constraints run a model, such as TextBugger's on sentences:
    ``TextBugger().lazily()``.
    """

    name = "lazy-greedy-word-swap"

    def _chooser(self, context: SearchContext) -> _Chooser:
        return _choose if context.budget is not None else _choose_lazily


@dataclass(frozen=True, slots=True)
class _Step:
    """What the search goes on with after a word."""

    text: Words
    score: float
    ends: bool = False


_Turn = Generator[Any, Any, _Step]
_Chooser = Callable[[TextSwaps, Words, int, float], _Turn]


def _choose(swaps: TextSwaps, current: Words, index: int, score: float) -> _Turn:
    candidates = yield from swaps.candidates(current, index)
    if not candidates.texts:
        return _Step(current, score)
    over = False
    try:
        answer = yield candidates.texts
    except BudgetExhausted as exhausted:
        answer, over = exhausted.answer, True
    if len(answer.scores):
        best = int(answer.scores.argmax())
        if answer.scores[best] > score:
            if answer.succeeded[best]:
                return _Step(_closest(candidates, answer), answer.scores[best], ends=True)
            return _Step(candidates.texts[best], answer.scores[best], ends=over)
    return _Step(current, score, ends=over)


def _choose_lazily(swaps: TextSwaps, current: Words, index: int, score: float) -> _Turn:
    candidates = yield from swaps.candidates(current, index, lazily=True)
    texts = candidates.texts
    if not texts:
        return _Step(current, score)
    answer = yield texts
    order = np.argsort(-answer.scores, kind="stable").tolist()
    met: dict[int, float] = {}
    """Candidates that are allowed and meet the goal, from the best, and how close each is."""
    size = 1
    while order and (answer.succeeded[order].any() if met else answer.scores[order[0]] > score):
        # All at once that meet the goal; else more and more, so that there are few turns.
        missed = np.flatnonzero(~answer.succeeded[order])
        count = max(size, int(missed[0]) if len(missed) else len(order))
        chunk, order = order[:count], order[count:]
        size *= 2
        kept, closeness = yield from swaps.examine(current, index, [texts[i] for i in chunk])
        for place, k in enumerate(kept):
            i = chunk[k]
            if not answer.succeeded[i]:
                if met:
                    return _end(texts, met, answer)
                better = answer.scores[i] > score
                return _Step(texts[i], answer.scores[i]) if better else _Step(current, score)
            if not met and answer.scores[i] <= score:
                return _Step(current, score)
            measured = candidates.similarities if closeness is None else closeness
            met[i] = 0.0 if measured is None else measured[i if closeness is None else place]
    return _end(texts, met, answer) if met else _Step(current, score)


def _end(texts: Sequence[Words], met: dict[int, float], answer: Answer) -> _Step:
    closest = max(met, key=met.__getitem__)
    return _Step(texts[closest], answer.scores[closest], ends=True)


def _closest(candidates: Candidates, answer: Answer) -> Words:
    """Of the best candidates, down to the first that misses the goal, the closest in meaning."""
    order = np.argsort(-answer.scores, kind="stable")
    if candidates.similarities is None:
        return candidates.texts[int(order[0])]
    succeeded = answer.succeeded[order]
    count = len(order) if succeeded.all() else int(np.argmin(succeeded))
    closest: int = max(order[:count].tolist(), key=candidates.similarities.__getitem__)
    return candidates.texts[closest]
