"""Running the generators of one search side by side, for larger batches."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from rosearch.attack.base import Answer
from rosearch.attack.resources.oracles import Ask

_T = TypeVar("_T")


def lockstep(steps: Sequence[Generator[Any, Any, _T]]) -> Generator[Any, Any, list[_T]]:
    """Run independent generators and return their results.

    What they yield at the same time is yielded together: questions to the same oracle as one
    :class:`~rosearch.attack.resources.oracles.Ask`, then texts as one list. When the budget is
    exhausted, :class:`~rosearch.attack.base.BudgetExhausted` propagates to the caller.
    """
    results: dict[int, _T] = {}
    wanted: dict[int, Any] = {}

    def advance(place: int, answer: Any) -> None:
        try:
            wanted[place] = steps[place].send(answer)
        except StopIteration as stop:
            wanted.pop(place, None)
            results[place] = stop.value

    for place in range(len(steps)):
        advance(place, None)
    while wanted:
        asking = [place for place, want in wanted.items() if isinstance(want, Ask)]
        if asking:
            oracle = wanted[asking[0]].oracle
            asking = [place for place in asking if wanted[place].oracle is oracle]
            parts: list[Sequence[Any]] = [wanted[place].questions for place in asking]
            answers = yield Ask(oracle, [question for part in parts for question in part])
        else:
            asking = list(wanted)
            parts = [wanted[place] for place in asking]
            answers = yield [text for part in parts for text in part]
        start = 0
        for place, part in zip(asking, parts, strict=True):
            end = start + len(part)
            advance(place, _slice(answers, start, end))
            start = end
    return [results[place] for place in range(len(steps))]


def _slice(answers: Any, start: int, end: int) -> Any:
    if not isinstance(answers, Answer):
        return answers[start:end]
    return replace(
        answers,
        scores=answers.scores[start:end],
        succeeded=answers.succeeded[start:end],
        probabilities=answers.probabilities[start:end],
    )
