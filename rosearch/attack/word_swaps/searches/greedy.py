"""Greedy word replacement in the order of importance, the search of most published recipes."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, ClassVar, TypeAlias

import numpy as np

from rosearch.attack.base import Answer, BudgetExhausted, Search, SearchContext
from rosearch.attack.text import Words
from rosearch.attack.word_swaps.candidates import TextSwaps
from rosearch.attack.word_swaps.searches.base import SearchMethod
from rosearch.attack.word_swaps.searches.rankings import RANKINGS
from rosearch.checks import choice


@dataclass(frozen=True, slots=True)
class _Step:
    """The text and score that the search continues from after one word."""

    text: Words
    score: float
    ends: bool = False


_Stepping: TypeAlias = Generator[Any, Any, _Step]


class GreedyWordSwap(SearchMethod):
    """Ranks the words once, then replaces each in turn by the candidate with the highest score.

    Jin et al. 2019, algorithm 1; Ren et al. 2019, section 4. A replacement is kept only if it
    raises the score; the search ends at the first that meets the goal. Of several candidates for
    the same word that meet it, the most similar in meaning is taken where a constraint measured
    that. Order, ties and query counts are those of TextAttack's ``GreedyWordSwapWIR``.

    Args:
        ranking: ``"unknown"``, ``"deletion"``, ``"weighted-saliency"``, ``"gradient"`` or
            ``"random"``.

    Raises:
        ArgumentError: ``ranking`` is unknown.
    """

    name = "greedy-word-swap"
    only_swaps = True
    keeps_limits = True
    _lazy: ClassVar[bool] = False

    def __init__(self, ranking: str = "unknown") -> None:
        self.ranking = choice("ranking", ranking, tuple(RANKINGS))

    def search(self, swaps: TextSwaps, context: SearchContext) -> Search:
        step = _Step(swaps.original, context.score)
        try:
            order = yield from RANKINGS[self.ranking](swaps)
        except BudgetExhausted:
            return step.text
        next_step = _lazy_step if self._lazy and context.budget is None else _strict_step
        for index in order:
            step = yield from next_step(swaps, index, step)
            if step.ends:
                break
        return step.text


class LazyGreedyWordSwap(GreedyWordSwap):
    """:class:`GreedyWordSwap` that checks expensive constraints only on what it would choose.

    The victim is queried about all candidates that the cheap constraints allow. The expensive
    constraints, such as sentence similarity, are then checked on the best of them, down to the
    first that is allowed. Verdicts and perturbed texts are the same; there are more queries, since
    the victim sees candidates that an expensive constraint would have refused. With a query budget
    it works exactly like :class:`GreedyWordSwap`.

    It pays off where constraints cost more than the victim: ``TextBugger().lazily()``.

    Args:
        ranking: See :class:`GreedyWordSwap`.

    Raises:
        ArgumentError: ``ranking`` is unknown.
    """

    name = "lazy-greedy-word-swap"
    only_swaps = True
    keeps_limits = True
    _lazy = True


def _strict_step(swaps: TextSwaps, index: int, before: _Step) -> _Stepping:
    candidates = yield from swaps.candidates(before.text, index)
    if not candidates.texts:
        return before
    exhausted = False
    try:
        answer = yield candidates.texts
    except BudgetExhausted as signal:
        answer, exhausted = signal.answer, True
    similarities = {i: candidates.similarities[i] for i in _by_score(answer)}
    step = _best(candidates.texts, similarities, answer, before)
    return replace(step, ends=step.ends or exhausted)


def _lazy_step(swaps: TextSwaps, index: int, before: _Step) -> _Stepping:
    candidates = yield from swaps.candidates(before.text, index, lazily=True)
    texts = candidates.texts
    if not texts:
        return before
    answer = yield texts
    order = _by_score(answer)
    allowed: dict[int, float] = {}
    size = 1
    # Until the choice no longer depends on the candidates left in order.
    while order and answer.succeeded[list(allowed)].all():
        if not (
            answer.succeeded[order].any() if allowed else answer.scores[order[0]] > before.score
        ):
            break
        # All at once that meet the goal; otherwise more each time, so that there are few rounds.
        count = max(size, len(_succeeding(order, answer)))
        size *= 2
        part, order = order[:count], order[count:]
        similarities = {i: candidates.similarities[i] for i in part}
        kept = yield from swaps.examine_expensive(before.text, index, texts, similarities)
        allowed.update(kept)
    return _best(texts, allowed, answer, before)


def _best(
    texts: Sequence[Words], similarities: Mapping[int, float], answer: Answer, before: _Step
) -> _Step:
    """The step to the best candidate.

    ``similarities`` has the positions of the allowed ones, that with the highest score first.
    """
    order = list(similarities)
    if not order or answer.scores[order[0]] <= before.score:
        return before
    succeeding = _succeeding(order, answer)
    best = max(succeeding, key=similarities.__getitem__) if succeeding else order[0]
    return _Step(texts[best], answer.scores[best], ends=bool(succeeding))


def _by_score(answer: Answer) -> list[int]:
    order: list[int] = np.argsort(-answer.scores, kind="stable").tolist()
    return order


def _succeeding(order: Sequence[int], answer: Answer) -> list[int]:
    """The candidates at the head of ``order`` that meet the goal."""
    return list(takewhile(answer.succeeded.__getitem__, order))
