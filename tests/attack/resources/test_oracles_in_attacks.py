"""Oracles asked by the searches of an attack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from rosearch.attack import (
    Ask,
    Attack,
    FunctionVictim,
    Oracle,
    Search,
    SearchContext,
    Words,
    run_attack,
)
from rosearch.attack.engine.engine import Example
from rosearch.attack.testing import hashing_classifier
from rosearch.errors import EvaluationError


class Lengths(Oracle):
    """The length of each question; records the questions that it computes."""

    name = "lengths"

    def __init__(self, *, factor: int = 1) -> None:
        super().__init__(cache=False)
        self.factor = factor
        self._calls: list[list[Any]] = []

    @property
    def calls(self) -> list[list[Any]]:
        return self._calls

    def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
        self._calls.append(list(questions))
        return [self.factor * len(question) for question in questions]


class AskingAttack(Attack):
    """Asks an oracle about each word, then replaces the word with one as long as the answer."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle

    def search(self, text: Words, context: SearchContext) -> Search:
        best = text
        for index in context.indices:
            (length,) = yield Ask(self.oracle, [text.words[index]])
            best = text.replace(index, "x" * length)
            answer = yield [best]
            if answer.succeeded[0]:
                break
        return best


EXAMPLES = [
    Example(k, text, int(hashing_classifier([text])[0].argmax()))
    for k, text in enumerate(["one two", "three four five", "six", "one more four"])
]


def run(attack: Attack, **settings: Any) -> Any:
    return run_attack(attack, EXAMPLES, FunctionVictim(hashing_classifier), **settings)


def test_questions_of_all_searches_are_computed_together() -> None:
    oracle = Lengths()
    results = run(AskingAttack(oracle))
    assert [r.error for r in results] == [None] * 4
    assert oracle.calls[0] == ["one", "three", "six"]  # "one" is in two texts
    assert sum(map(len, oracle.calls)) == oracle.computed <= 7
    assert len(oracle.calls) <= 3
    first = oracle.computed
    assert run(AskingAttack(oracle)) == results
    assert oracle.computed == first


def test_searches_with_known_answers_do_not_wait() -> None:
    oracle = Lengths()
    oracle.answer(["one", "two", "three", "four", "five", "six", "more"])
    oracle.calls.clear()
    rows: list[int] = []

    def victim(texts: list[str]) -> np.ndarray:
        rows.append(len(texts))
        return hashing_classifier(texts)

    run_attack(AskingAttack(oracle), EXAMPLES, FunctionVictim(victim))
    assert oracle.calls == []
    assert rows[:2] == [4, 4]  # the original texts, then the first query of every search


def test_results_do_not_depend_on_other_searches() -> None:
    assert run(AskingAttack(Lengths()), in_flight=1) == run(AskingAttack(Lengths()))


def test_failed_question_is_the_error_of_its_example() -> None:
    class Fussy(Lengths):
        def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
            if "three" in questions:
                raise ValueError("no threes")
            return super().compute(questions)

    results = run(AskingAttack(Fussy()))
    assert [r.status == "error" for r in results] == [False, True, False, False]
    assert results[1].error == "ValueError: no threes"
    good = run(AskingAttack(Lengths()))
    assert [results[k] for k in (0, 2, 3)] == [good[k] for k in (0, 2, 3)]


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (OSError("down"), EvaluationError, "OSError: down"),
        (MemoryError("all used"), MemoryError, "all used"),
    ],
)
def test_oracle_that_never_answers(error: Exception, raised: type[Exception], message: str) -> None:
    class Broken(Lengths):
        def compute(self, questions: Sequence[Any]) -> Sequence[Any]:
            raise error

    with pytest.raises(raised, match=message):
        run(AskingAttack(Broken()))


@pytest.mark.parametrize("budget", [1, 2, 3])
def test_questions_to_oracles_are_not_queries(budget: int) -> None:
    oracle = Lengths()
    for result in run(AskingAttack(oracle), query_budget=budget):
        assert result.queries <= budget
        assert result.error is None
    assert oracle.computed


def test_searches_may_ask_different_oracles() -> None:
    first, second = Lengths(), Lengths(factor=2)

    class Both(Attack):
        def search(self, text: Words, context: SearchContext) -> Search:
            oracle = first if len(text) == 2 else second
            (length,) = yield Ask(oracle, [text.words[0]])
            yield [text.replace(0, "y" * length)]
            return text.replace(0, "y" * length)

    results = run(Both())
    assert [len(r.perturbed.split()[0]) for r in results] == [3, 10, 6, 6]
    assert (first.computed, second.computed) == (1, 3)
