"""Generators side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rosearch.attack.base import Answer
from rosearch.attack.resources.oracles import Ask, Oracle
from rosearch.attack.word_swaps.searches.lockstep import lockstep


class Double(Oracle):
    name = "double"

    def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
        return [2 * question for question in questions]


def answered(values: Sequence[float]) -> Answer:
    scores = np.array(values, dtype=np.float32)
    return Answer(scores, scores > 5, np.stack([scores, scores], axis=1))


def run(steps: Any) -> tuple[Any, list[Any]]:
    """Answer each text, a number, by itself; return the results and what was yielded."""
    yielded: list[Any] = []
    answer: Any = None
    try:
        while True:
            wanted = steps.send(answer)
            yielded.append(wanted)
            if isinstance(wanted, Ask):
                answer = wanted.oracle.answer(wanted.questions)
            else:
                answer = answered(wanted)
    except StopIteration as stop:
        return stop.value, yielded


def adder(*amounts: int) -> Any:
    total = 0.0
    for amount in amounts:
        answer = yield [amount, amount + 1]
        assert answer.scores.shape == (2,)
        assert answer.probabilities.shape == (2, 2)
        total += float(answer.scores.sum())
    return total


def test_what_is_yielded_together_is_asked_together() -> None:
    results, yielded = run(lockstep([adder(1, 5), adder(), adder(3), adder(2, 2, 2)]))
    assert results == [3 + 11, 0, 7, 15]
    assert yielded == [[1, 2, 3, 4, 2, 3], [5, 6, 2, 3], [2, 3]]


def test_questions_to_one_oracle_are_asked_together_before_texts() -> None:
    first, second = Double(cache=False), Double(cache=False)

    def asker(oracle: Oracle, *questions: int) -> Any:
        found = yield Ask(oracle, questions)
        answer = yield found
        return [*found, float(answer.scores[0])]

    steps = [asker(first, 1, 2), adder(7), asker(second, 3), asker(first, 4)]
    results, yielded = run(lockstep(steps))
    assert results == [[2, 4, 2.0], 15.0, [6, 6.0], [8, 8.0]]
    assert [list(w.questions) if isinstance(w, Ask) else w for w in yielded] == [
        [1, 2, 4],
        [3],
        [2, 4, 7, 8, 6, 8],
    ]


def test_no_generators() -> None:
    assert run(lockstep([])) == ([], [])
